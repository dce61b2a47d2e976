"""Static files under names that hold their content's hash, so that browsers may keep them for ever."""

from django.contrib.staticfiles.storage import ManifestStaticFilesStorage


class HashedStaticFiles(ManifestStaticFilesStorage):
    """Also follows the imports between our ES modules."""

    support_js_module_import_aggregation = True
