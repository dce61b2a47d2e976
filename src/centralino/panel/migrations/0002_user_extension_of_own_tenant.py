"""A person's extension belongs to that person's tenant: a composite foreign key, which Django's models cannot say."""

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    """Add the key; it is checked at the commit, as Django's own are."""

    dependencies: ClassVar = [("panel", "0001_initial")]

    operations: ClassVar = [
        migrations.RunSQL(
            sql="""
            ALTER TABLE panel_user ADD CONSTRAINT user_extension_of_own_tenant
            FOREIGN KEY (extension_id, tenant_id) REFERENCES panel_extension (id, tenant_id)
            DEFERRABLE INITIALLY DEFERRED
            """,
            reverse_sql="ALTER TABLE panel_user DROP CONSTRAINT user_extension_of_own_tenant",
        ),
    ]
