"""What the scores are called, and what each means in a few words."""

from __future__ import annotations

from distingo.language import gettext


def known_scores() -> dict[str, tuple[str, str]]:
    """By a score's key its name and what it means, in the language that is being written in."""
    return {**_single_label(), **_several_labels()}


def label_meanings() -> dict[str, str]:
    """What scores mean of labels that say classes where a picture has one."""
    return {
        "precision_macro": gettext("of the pictures called a label, the share that is; every label counts the same"),
        "recall_macro": gettext("of a label's pictures, the share found; every label counts the same"),
        "f1_macro": gettext("harmonic mean of precision and recall; every label counts the same"),
    }


def _single_label() -> dict[str, tuple[str, str]]:
    by_pictures = gettext("classes count by their number of pictures")
    return {
        "accuracy": (gettext("Accuracy"), gettext("share of pictures given their true class")),
        "balanced_accuracy": (
            gettext("Balanced accuracy"),
            gettext("recall averaged over classes, so that rare ones count as much"),
        ),
        "precision_macro": (
            gettext("Precision, macro"),
            gettext("of the pictures called a class, the share that is; every class counts the same"),
        ),
        "recall_macro": (
            gettext("Recall, macro"),
            gettext("of a class's pictures, the share found; every class counts the same"),
        ),
        "f1_macro": (
            gettext("F1, macro"),
            gettext("harmonic mean of precision and recall; every class counts the same"),
        ),
        "precision_weighted": (gettext("Precision, weighted"), by_pictures),
        "recall_weighted": (gettext("Recall, weighted"), by_pictures),
        "f1_weighted": (gettext("F1, weighted"), by_pictures),
        "log_loss": (gettext("Log loss"), gettext("lower is better; punishes confident mistakes most")),
        "loss": (gettext("Loss"), gettext("lower is better")),
    }


def _several_labels() -> dict[str, tuple[str, str]]:
    return {
        "mean_average_precision": (gettext("Mean average precision"), ""),
        "mean_average_precision_macro": (
            gettext("Mean average precision, macro"),
            gettext("how well each label's probabilities rank pictures; every label counts the same"),
        ),
        "mean_average_precision_micro": (
            gettext("Mean average precision, micro"),
            gettext("the same for all pairs of picture and label ranked together"),
        ),
        "f1_macro_at_half": (
            gettext("F1, macro, at 0.5"),
            gettext("with 0.5 as every label's threshold; every label counts the same"),
        ),
        "f1_micro": (gettext("F1, micro"), gettext("all pairs of picture and label counted together")),
        "precision_micro": (gettext("Precision, micro"), gettext("of all labels given, the share that is there")),
        "recall_micro": (gettext("Recall, micro"), gettext("of all labels that are there, the share given")),
        "f1_samples": (gettext("F1, samples"), gettext("of each picture's labels, averaged over pictures")),
        "label_ranking_average_precision": (
            gettext("Label-ranking average precision"),
            gettext("how high a picture's own labels rank among all labels"),
        ),
        "coverage_error": (
            gettext("Coverage error"),
            gettext("how many of the most probable labels it takes to have all that are there; lower is better"),
        ),
        "hamming_loss": (
            gettext("Hamming loss"),
            gettext("share of wrong cells in the table of pictures and labels; lower is better"),
        ),
        "exact_match": (gettext("Exact match"), gettext("share of pictures whose labels are all right")),
        "label_accuracy": (
            gettext("Right cells"),
            gettext("of the table of pictures and labels; means little where labels are rare"),
        ),
        "label_accuracy_of_nothing": (
            gettext("Right cells of no answer"),
            gettext("what giving no label to any picture is worth"),
        ),
    }
