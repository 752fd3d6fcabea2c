"""The functions that exported code is put together from; never imported here, but read as text."""
