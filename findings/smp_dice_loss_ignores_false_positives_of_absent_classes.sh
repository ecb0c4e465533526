#!/usr/bin/env bash
# segmentation-models-pytorch: Dice, Jaccard and Tversky loss are 0 with no gradient where the mask is empty.
#
# Expected: a model that paints an object into a picture without one pays for it. The loss has a smooth and
#   an eps argument, so 1 - 2*0 / (sum of the prediction) should be near 1, with a gradient.
# What happens: in the modes "binary" and "multilabel" a class without a true pixel in the batch is multiplied by 0.
#   The loss is exactly 0 at any logit and its gradient is exactly 0. The mean is still taken over
#   all classes, so absent classes also dilute the others. LovaszLoss does see such a batch.
#   In the mode "multiclass" only the softmax of the classes that are present gives a gradient.
# Versions: segmentation-models-pytorch 0.6.0, torch 2.14.1, torchvision 0.29.1.
# Documentation: the docstrings of the classes and their arguments do not say so; only a comment in the source does.
# Cost: with small batches and many empty masks (lesions, ships, defects) the model is never taught to stay
#   silent: false positives on empty pictures remain, and the loss curve looks better than it is.
# Instead: add BCE (SoftBCEWithLogitsLoss) or focal loss to it, use LovaszLoss, or sample batches with objects.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1 segmentation-models-pytorch==0.6.0 numpy==2.4.6

venv/bin/python -I - <<'PYTHON'
import segmentation_models_pytorch as smp
import torch
import torchvision

print("segmentation-models-pytorch", smp.__version__, "torch", torch.__version__, "torchvision", torchvision.__version__)


def loss_and_gradient(loss_class, logit, mode):
    channels = 1 if mode == "binary" else 3
    logits = torch.full((2, channels, 8, 8), float(logit))
    target = torch.zeros(2, channels, 8, 8)
    if mode == "multilabel":
        target[:, 0] = 1  # class 0 is there, classes 1 and 2 are not
    logits.requires_grad_()
    loss = loss_class(mode=mode)(logits, target)
    loss.backward()
    return loss.item(), logits.grad[:, -1].abs().max().item()  # the last class is absent


for name in ("DiceLoss", "JaccardLoss", "TverskyLoss", "LovaszLoss"):
    for mode in ("binary", "multilabel"):
        for logit in (-2, 0, 2):
            loss, gradient = loss_and_gradient(getattr(smp.losses, name), logit, mode)
            print(f"{name:12s} {mode:10s} logit {logit:2d} everywhere: loss {loss:.4f}, gradient of the absent class {gradient:.6f}")
            if name == "LovaszLoss":
                if logit >= 0:
                    assert gradient > 0
            else:
                assert gradient == 0
                assert mode == "multilabel" or loss == 0
# Wrong everywhere for two of three classes, and yet the loss is nearly perfect.
loss, _ = loss_and_gradient(smp.losses.DiceLoss, 10, "multilabel")
print("DiceLoss, all three classes painted everywhere, one of them there: loss", round(loss, 5))
assert loss < 0.001
PYTHON
