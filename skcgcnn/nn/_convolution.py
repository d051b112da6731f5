"""What every convolution is, so that a network can be composed of any of them."""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from skcgcnn.nn._bonds import Bonds


class Convolution(nn.Module):
    """Base class of the convolutions of `CrystalGraphConvNet`.

    A subclass updates the features of sites, and of bonds if it likes. Its class attributes say
    what the network around it is like. Put it into `CONVOLUTIONS`, and the estimators know it by
    that name.

    Parameters
    ----------
    atom_fea_len : int
        Features per site.
    nbr_fea_len : int
        Gaussians that a distance is expanded in.
    generator : torch.Generator, optional
        Draws the initial weights; by default torch's global generator.
    dropout : float, default=0.0
        Dropout probability, for those with `has_dropout`.

    Attributes
    ----------
    embeds_bonds : bool
        Whether bonds begin with `atom_fea_len` learned features, not with the Gaussians.
    has_dropout : bool
        Whether dropout is here; otherwise it is in the head.
    normalizes_pooled : bool
        Whether the head begins with batch normalization of the pooled features.
    normalizes_batch : bool
        Whether in training a crystal depends on the others of its batch. If not, large batches are
        trained in halves, see `skcgcnn.nn.Halves`.

    Examples
    --------
    >>> class SumConv(Convolution):
    ...     def __init__(self, atom_fea_len, nbr_fea_len, generator=None, *, dropout=0.0):
    ...         super().__init__()
    ...         self.linear = torch.nn.Linear(atom_fea_len, atom_fea_len)
    ...
    ...     def forward(self, sites, edges, bonds):
    ...         messages = self.linear(sites)[bonds.neighbors] * bonds.counts.unsqueeze(1)
    ...         return sites.index_add(0, bonds.centers, messages), edges
    >>> from skcgcnn import CGCNNRegressor
    >>> from skcgcnn.nn import CONVOLUTIONS
    >>> CONVOLUTIONS["sum"] = SumConv
    >>> CGCNNRegressor(conv="sum")
    CGCNNRegressor(conv='sum')
    >>> del CONVOLUTIONS["sum"]
    """

    embeds_bonds: ClassVar[bool] = False
    has_dropout: ClassVar[bool] = False
    normalizes_pooled: ClassVar[bool] = False
    normalizes_batch: ClassVar[bool] = True

    @staticmethod
    def activation(rows: Tensor) -> Tensor:
        """Return what the head's activation makes of its features."""
        return functional.softplus(rows)

    def leave_out_bias(self) -> None:
        """Leave out what is added to all rows alike: batch normalization follows the layer.

        It would take that out again, and the gradient would be rounding noise, from which
        optimizers make steps.
        """

    def forward(self, sites: Tensor, edges: Tensor, bonds: Bonds) -> tuple[Tensor, Tensor]:
        """Update the features of every row, and of every bond.

        Parameters
        ----------
        sites : Tensor of shape (n_rows, atom_fea_len)
            Features of the classes of equal sites.
        edges : Tensor of shape (n_bonds, n_features)
            Features of the bonds.
        bonds : Bonds
            The bonds.

        Returns
        -------
        sites : Tensor of shape (n_rows, atom_fea_len)
        edges : Tensor of shape (n_bonds, n_features)
        """
        raise NotImplementedError
