"""The revisions. A new one is added to `schema.REVISIONS`; what was released is never changed."""
