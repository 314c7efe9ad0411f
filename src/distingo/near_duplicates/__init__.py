"""Find images that show the same scene, and keep them in the same split."""
