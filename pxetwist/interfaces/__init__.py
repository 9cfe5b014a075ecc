"""The seams of pxetwist: what a plugin must provide, and what it is given.

Every method that may wait is ``async def``. A plugin's constructor touches nothing outside
itself; an object that needs to be started or stopped provides :class:`IService` as well.
"""

from __future__ import annotations

from pxetwist.file_tree import IExport
from pxetwist.interfaces.boot import IBoot
from pxetwist.interfaces.content import (
    IContent,
    IContentStore,
    IListsFolders,
    INamesDisks,
    IRepeats,
)
from pxetwist.interfaces.machines import (
    IHealth,
    IHostDirectory,
    IListsMachines,
    IReloads,
    IRemembers,
    IReservations,
)
from pxetwist.interfaces.plugins import IPluginFactory, Port, Site
from pxetwist.interfaces.policies import (
    IAdvises,
    IAuthenticator,
    IBegins,
    IBootPolicy,
    IExplains,
    IHears,
    ISteady,
)
from pxetwist.interfaces.services import IBootObserver, IBootService, ICounts, ISharesPorts
from pxetwist.interfaces.state import (
    IAtHand,
    ILeaseReader,
    ILeaseStore,
    INotes,
    IOrderStore,
    IRedemptions,
    ISharesLeases,
)

__all__ = [
    "IAdvises",
    "IAtHand",
    "IAuthenticator",
    "IBegins",
    "IBoot",
    "IBootObserver",
    "IBootPolicy",
    "IBootService",
    "IContent",
    "IContentStore",
    "ICounts",
    "IExplains",
    "IExport",
    "IHealth",
    "IHears",
    "IHostDirectory",
    "ILeaseReader",
    "ILeaseStore",
    "IListsFolders",
    "IListsMachines",
    "INamesDisks",
    "INotes",
    "IOrderStore",
    "IPluginFactory",
    "IRedemptions",
    "IReloads",
    "IRemembers",
    "IRepeats",
    "IReservations",
    "ISharesLeases",
    "ISharesPorts",
    "ISteady",
    "Port",
    "Site",
]
