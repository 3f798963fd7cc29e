"""Show frames to people: numbers rounded, units in the header, all from the one column table."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.core.schema import FILES, Column

COLUMNS: dict[str, Column] = {
    column.name: column for columns in reversed(FILES.values()) for column in columns
}
"""Name → column; where files share a name, that of the first file."""


def shown(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame as text: numbers in the format of their column, the unit behind the name.

    Columns that no result file has are kept as they are.

    >>> import pandas as pd
    >>> print(shown(pd.DataFrame({"method": ["mas"], "time_s": [33.28251]})).to_string(index=False))
    method time_s (s)
       mas      33.28
    """
    parts: dict[str, pd.Series[Any]] = {}
    for name in frame.columns:
        column = COLUMNS.get(str(name))
        title = f"{name} ({column.unit})" if column and column.unit else str(name)
        values = frame[name]
        if column is not None:
            plain = [None if pd.isna(value) else value for value in values]
            values = pd.Series([column.show(value) for value in plain], index=frame.index)
        parts[title] = values
    return pd.DataFrame(parts, index=frame.index)
