"""The store: the system of record, a journal and a lake; appending, sealing, loading in bulk, compacting, recovering."""

from eventlab.store.appends import ANY, EXISTS, Write
from eventlab.store.loads import IngestResult
from eventlab.store.recoveries import Recovery
from eventlab.store.seals import Compaction, Sealer
from eventlab.store.stores import Store

__all__ = ["ANY", "EXISTS", "Compaction", "IngestResult", "Recovery", "Sealer", "Store", "Write"]
