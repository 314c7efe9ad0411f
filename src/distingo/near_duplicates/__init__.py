"""Images that show the same scene: searched for among all of a data set, and kept on one split."""
