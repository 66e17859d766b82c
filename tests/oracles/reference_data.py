"""Text and training runs that the package is held against, where they are: beside the repository, never in it."""

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MULTI30K, REFERENCE, SST = DATA / "multi30k", DATA / "reference", DATA / "sst"
REAL_MODELS, WORD_ORDER = DATA / "evidence" / "real_models", DATA.parent / "tools" / "word_order.py"

translations = pytest.mark.skipif(not MULTI30K.is_dir(), reason=f"there is no Multi30k in {DATA}")
recorded_runs = pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"there are no training runs in {REFERENCE}")
reviews = pytest.mark.skipif(not SST.is_dir(), reason=f"there is no SST in {DATA}")
real_models = pytest.mark.skipif(not WORD_ORDER.is_file(), reason=f"there are no runs of real models in {DATA}")
