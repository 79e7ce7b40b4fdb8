class ArchiveRouter:
    """The library lives in a database of its own."""

    def db_for_read(self, model, **hints):
        return "archive" if model._meta.app_label == "library" else None

    db_for_write = db_for_read

    def allow_migrate(self, db, app_label, **hints):
        if app_label == "library":
            return db == "archive"
        return None if db == "default" else False
