"""From files to arrays: pictures, codecs, fingerprints, folds, subsets, the store and the loader."""
