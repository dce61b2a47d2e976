"""Wrong passwords each with its log-in, so that a right one takes back those of its own alone; the counts are lost."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """Exchange the table."""

    dependencies: ClassVar = [("panel", "0004_bans")]

    operations: ClassVar = [
        migrations.DeleteModel(name="WrongPasswords"),
        migrations.CreateModel(
            name="WrongPassword",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("address", models.GenericIPAddressField(db_index=True)),
                ("login", models.CharField(max_length=150)),
                ("at", models.DateTimeField(db_index=True)),
            ],
            options={"ordering": ["id"]},
        ),
    ]
