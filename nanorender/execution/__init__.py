"""Parallel execution in local processes or on a Dask cluster."""
