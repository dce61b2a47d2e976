"""Bans, the wrong passwords that lead to them, and from where a tenant's people may come."""

from typing import ClassVar

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    """Make the tables."""

    dependencies: ClassVar = [("panel", "0003_phones")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="tenant",
            name="networks",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=43), blank=True, default=list, size=None
            ),
        ),
        migrations.CreateModel(
            name="Ban",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("address", models.GenericIPAddressField(unique=True)),
                ("part", models.CharField(max_length=16)),
                ("guest", models.CharField(max_length=63)),
                ("reason", models.CharField(max_length=200)),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField(db_index=True)),
            ],
            options={
                "ordering": ["address"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("until__gt", models.F("since"))), name="ban_ends_after_start"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="WrongPasswords",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("address", models.GenericIPAddressField(unique=True)),
                ("count", models.PositiveIntegerField()),
                ("since", models.DateTimeField(db_index=True)),
            ],
            options={"ordering": ["address"]},
        ),
    ]
