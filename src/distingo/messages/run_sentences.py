"""Messages about runs: automatic choices of settings, and warnings about results."""

from __future__ import annotations

from typing import Final

from distingo.messages.notes import (
    Sentence,
    both,
    plain,
    quoted,
    says,
    says_count,
    share,
    three_digits,
    whole_percent,
)

RUNS: Final[dict[str, Sentence]] = {
    # choices of a recipe
    "model-chosen": says("model: %(model)s, because no --model was given and %(said)s"),
    "images-small": says("the median picture is %(size)s, too small for pretrained backbones"),
    "weights-missing": says("the pretrained weights of %(model)s could not be had (%(error)s)", model=quoted),
    "images-large": says("pictures are large enough for a pretrained backbone, and its weights can be had"),
    "image-size": says("image size: %(size)s (height x width), because %(said)s"),
    "published": says("published with it"),
    "median-image": says("the median picture is %(size)s"),
    "gray-channels": says("channels: 1, because all pictures are gray"),
    "color-channels": says("channels: 3, because there is color"),
    "options-not-used": says("not used: %(options)s, because %(model)s is not trained by steps"),
    "options-not-used-frozen": says("not used: %(options)s, because a frozen backbone is not trained by steps"),
    "batch-size": says("batch size: %(size)s, because --batch-size auto was given and %(said)s", size=plain),
    "batch-size-largest": says("more is of no use"),
    "batch-size-steps": says("more would leave an epoch fewer than %(steps)s steps"),
    "batch-size-memory": says("twice as many would not fit into %(memory)s GiB with certainty"),
    "batch-size-unknown": says("%(device)s does not say how much memory it has"),
    "learning-rate": says(
        "learning rate: %(found)s instead of %(usual)s, because a batch has %(size)s images instead of %(usual_size)s",
        size=plain,
        usual_size=plain,
    ),
    "pretrained-weights": says(
        "pretrained weights: %(source)s, license %(licence)s; it sees %(size)s (height x width)"
    ),
    "precision": says("precision: %(precision)s on %(device)s, because %(said)s"),
    "requested": says("it was requested"),
    "requested-several": says("they were requested"),
    "gpu-has-bfloat16": says("this GPU computes in it"),
    "gpu-lacks-bfloat16": says("this GPU does not compute in bfloat16"),
    "bfloat16-untested": says("bfloat16 is not relied on for %(device)s"),
    "processor-has-bfloat16": says("this processor computes in it (%(flag)s)"),
    "processor-lacks-bfloat16": says("this processor has neither %(first)s nor %(second)s"),
    # heads
    "labels-not-learned": says(
        "%(count)s of %(total)s labels are on all training pictures or on none and cannot be learned", count=plain
    ),
    "validation-too-small": says("%(count)s validation pictures are too few to choose by: %(said)s", count=plain),
    "defaults-taken": says("the defaults were taken"),
    "chosen-on-folds": says(
        "chosen by %(folds)s-fold cross-validation on the %(count)s training pictures", count=plain
    ),
    "not-converged": says("the solver stopped at its limit of %(count)s iterations before the optimum", count=plain),
    # splits
    "class-without-validation": says("class %(name)s has no validation picture, as it has only 2 to divide"),
    "class-not-in-train": says("class %(name)s has no train picture"),
    "class-not-in-validation": says("class %(name)s has no validation picture"),
    "class-not-in-test": says("class %(name)s has no test picture"),
    "label-not-in-train": says("label %(name)s has no train picture"),
    "label-not-in-validation": says("label %(name)s has no validation picture"),
    "label-not-in-test": says("label %(name)s has no test picture"),
    "label-not-on-split": says_count(
        "label %(name)s (%(count)s picture) has none on the %(said)s split",
        "label %(name)s (%(count)s pictures) has none on the %(said)s split",
        said=both,
        count=plain,
    ),
    "class-not-in-parts": says("class %(name)s has none on %(parts)s: its %(images)s %(groups)s", parts=both),
    "label-not-in-parts": says("label %(name)s has none on %(parts)s: its %(images)s %(groups)s", parts=both),
    "images": says_count("%(count)s picture", "%(count)s pictures"),
    "form-groups": says_count("form %(count)s group", "form %(count)s groups"),
    "forms-groups": says_count("forms %(count)s group", "forms %(count)s groups"),
    "groups": says_count("%(count)s group", "%(count)s groups"),
    "groups-on-several-splits": says(
        "leak: %(groups)s with %(count)s pictures lie on several splits, as the data was given, for example "
        "%(example)s; --resplit puts each in one split",
        example=both,
    ),
    "file-of-split": says("%(file)s (%(split)s)"),
    "split-file": says("split: as %(file)s says"),
    "test-fold": says("fold %(fold)s of %(folds)s of %(file)s is the test split"),
    "images-not-in-split-file": says_count(
        "%(count)s picture not in %(file)s, so on no split (%(names)s)",
        "%(count)s pictures not in %(file)s, so on no split (%(names)s)",
    ),
    "images-only-in-split-file": says_count(
        "%(count)s picture in %(file)s, but not among the usable ones of the data any more (%(names)s)",
        "%(count)s pictures in %(file)s, but not among the usable ones of the data any more (%(names)s)",
    ),
    "images-renamed": says_count(
        "%(count)s picture found by content, as %(file)s has another name for it (%(names)s)",
        "%(count)s pictures found by content, as %(file)s has another name for it (%(names)s)",
    ),
    "images-relabelled": says_count(
        "%(count)s picture labeled otherwise than in %(file)s; the labels of the data count (%(names)s)",
        "%(count)s pictures labeled otherwise than in %(file)s; the labels of the data count (%(names)s)",
    ),
    "images-on-no-split": says("%(count)s pictures of the dataset are on no split of %(file)s", count=plain),
    # near-duplicates
    "duplicates-off": says("near-duplicates were not searched for, as it was requested"),
    "duplicates-too-small": says(
        "near-duplicates were not searched for, as the images are smaller than %(side)s pixels"
    ),
    "duplicates": says(
        "near-duplicates were searched for among %(count)s images, turned and mirrored too, from a similarity of "
        "%(similarity)s on; pairs: %(pairs)s, groups: %(groups)s, images in the largest group: %(largest)s"
    ),
    "duplicates-not-searched": says(
        "not searched for near-duplicates, as smaller than %(side)s pixels: %(count)s of %(total)s images"
    ),
    "duplicates-moved": says(
        "each group of near-duplicates is on one split, for which so many images were moved: %(count)s"
    ),
    "duplicates-of-other-class": says(
        "near-duplicates under two classes: %(count)s pairs; `distingo check DATA` shows them"
    ),
    "duplicates-divided": says(
        "groups of near-duplicates divided image by image, as they are too large to be kept on one split: %(count)s; "
        "their scores flatter"
    ),
    "duplicates-on-folds": says(
        "near-duplicates on two folds, which flatters the scores: %(count)s pairs; the split file says so, and "
        "`distingo split DATA --folds K` makes one that keeps them together"
    ),
    "duplicates-on-splits": says("near-duplicates on two splits, which flatters the scores: %(count)s pairs"),
    "duplicates-on-splits-of-data": says(
        "near-duplicates on two splits, which flatters the scores: %(count)s pairs; the data came so, and `distingo "
        "split DATA --resplit` makes a split file that keeps them together"
    ),
    "duplicates-on-splits-of-file": says(
        "near-duplicates on two splits, which flatters the scores: %(count)s pairs; the split file says so, and "
        "`distingo split DATA` makes one that keeps them together"
    ),
    # evaluations
    "evaluated-on-test": says("evaluated on the test split of %(data)s"),
    "evaluated-on-all": says("evaluated on all pictures of %(data)s"),
    "seen-in-training": says(
        "%(count)s of these %(total)s pictures are among those that the model was trained or chosen on, which "
        "flatters it"
    ),
    "corrections-honored": says("%(file)s is honored: %(count)s pictures are relabeled or set aside there"),
    "predicted-without-image": says(
        "no picture shows %(names)s, which the model predicted: precision, recall and F1 (macro) count each as 0, "
        "balanced accuracy leaves it out"
    ),
    "images-unlabelled": says("%(count)s of %(total)s pictures have no label"),
    "evaluated-on-common": says(
        "Evaluated on the %(count)s test pictures that all runs have in common; their own test splits have %(sizes)s."
    ),
    "trained-on-others": says(
        "%(name)s was trained on other pictures than %(other)s (%(count)s against %(other_count)s): what sets them "
        "apart is not the model alone."
    ),
    # thresholds
    "no-thresholds": says("no thresholds were chosen"),
    "mean-thresholds": says("means over folds"),
    "thresholds-without-images": says("no validation picture has a label: every threshold is 0.5"),
    "threshold-of-others": says(
        "%(names)s: no validation picture has the label, so it gets the labels' median threshold"
    ),
    "threshold-like-others": says(
        "%(names)s: fewer than %(few)s validation pictures have the label, so it mostly follows the other labels"
    ),
    "threshold-not-reached": says("%(names)s: no threshold reaches a precision of %(wanted)s on validation"),
    "column": says("label %(number)s", number=plain),
    # checks
    "compared-by-pixels": says(
        "pictures are compared by their pixels only, so outliers and wrong labels are not looked for"
    ),
    "compared-by": says("pictures are compared by %(name)s, because %(said)s"),
    "labels-doubted-by": says("labels are doubted by the predictions in %(folder)s"),
    "labels-doubted-by-some": says(
        "labels are doubted by the predictions in %(folder)s; of %(left)s there is none, so their labels are not "
        "doubted"
    ),
    "labels-not-doubted": says("no label is doubted: the models %(worth)s, %(floor)s, and that is not clearly better"),
    "labels-as-chance": says("no more labels look wrong than chance explains: the models %(worth)s, %(floor)s"),
    "labels-look-wrong": says("labels that look wrong: %(count)s, %(alarms)s; the models %(worth)s, %(floor)s"),
    "labels-cut": says(
        "the list of labels that look wrong is cut: %(wrong)s do, and the worst %(count)s count (%(most)s of the "
        "pictures)",
        most=whole_percent,
    ),
    "alarms-unknown": says("too few to estimate how many of them are right"),
    "alarms": says(
        "of which about %(share)s are expected to be right (a rough estimate: on data with known errors it was up to "
        "twice as many)",
        share=whole_percent,
    ),
    "right-on": says(
        "are right on %(score)s of %(count)s pictures that they never saw (95 %% interval %(low)s to %(high)s)",
        score=share,
        low=share,
        high=share,
    ),
    "commonest-on": says("always saying the most frequent class on %(score)s", score=share),
    "area-on": says(
        "reach a mean area under the ROC curve of %(score)s on %(count)s pictures that they never saw (95 %% interval "
        "%(low)s to %(high)s)",
        score=three_digits,
        low=three_digits,
        high=three_digits,
    ),
    "guessing-reaches": says("guessing reaches %(score)s", score=three_digits),
    "findings-answered": says("left out, because corrections.csv answers them: %(count)s of %(total)s findings"),
    "pixels-compared": says(
        "the pictures are small: the median of their shorter sides is %(split)s pixels", split=plain
    ),
    "weights-here": says("its weights are on this machine"),
    "weights-not-here": says(
        "the weights of the preset ‘fast’ are not on this machine; `distingo fetch-weights fast` gets them, and "
        "--model or --weights names others"
    ),
}
