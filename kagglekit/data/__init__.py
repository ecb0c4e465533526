"""From files to arrays: images, codecs, fingerprints, folds, subsets, the store and the loader."""
