"""`dense-crf`: masks refined by a fully connected CRF, with the mean field computed on a permutohedral lattice."""

from kagglekit import hookimpl
from kagglekit_dense_crf.technique import DenseCRF


@hookimpl
def kk_techniques():
    """The one technique."""
    return [DenseCRF]
