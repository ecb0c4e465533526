"""The layout of the folder that this plugin reads."""

LAYOUT = """\
DIR/train/images/NAME.png     16-bit PNG or TIFF, or DICOM (.dcm); one channel, any size
DIR/train/masks/NAME.png      of the same size; white (or 1) is the object, black (or 0) is none
DIR/test/images/NAME.png      images to predict
DIR/answers/NAME.png          optional: masks of the test images; then the submission is scored"""
