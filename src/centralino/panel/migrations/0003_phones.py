"""Desk phones, what is on them, and the requests to read their configuration again."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Add the tables, and the tenants' defaults for their phones."""

    dependencies: ClassVar = [
        ("panel", "0002_user_extension_of_own_tenant"),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="CheckSyncRequest",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("pbx", models.CharField(db_index=True, max_length=63)),
                ("endpoint", models.CharField(max_length=42)),
                ("reboot", models.BooleanField(default=False)),
                ("created", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.AddField(
            model_name="tenant",
            name="phone_defaults",
            field=models.JSONField(default=dict),
        ),
        migrations.CreateModel(
            name="Phone",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("mac", models.CharField(max_length=12, unique=True)),
                ("model", models.CharField(max_length=32)),
                ("folder", models.CharField(max_length=32, unique=True)),
                ("settings", models.JSONField(default=dict)),
                ("admin_password", models.CharField(max_length=32)),
                ("user_password", models.CharField(max_length=32)),
                ("armed_until", models.DateTimeField(null=True)),
                ("handed_out", models.DateTimeField(null=True)),
                ("handed_to", models.GenericIPAddressField(null=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="phones", to="panel.tenant"
                    ),
                ),
            ],
            options={
                "ordering": ["tenant_id", "mac"],
            },
        ),
        migrations.CreateModel(
            name="PhoneAccount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("place", models.PositiveSmallIntegerField()),
                (
                    "device",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="phone_account", to="panel.device"
                    ),
                ),
                (
                    "phone",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="accounts", to="panel.phone"
                    ),
                ),
            ],
            options={
                "ordering": ["phone_id", "place"],
            },
        ),
        migrations.AddConstraint(
            model_name="phone",
            constraint=models.CheckConstraint(
                condition=models.Q(("mac__regex", "^[0-9a-f]{12}$")), name="phone_mac_form"
            ),
        ),
        migrations.AddConstraint(
            model_name="phone",
            constraint=models.CheckConstraint(
                condition=models.Q(("folder__regex", "^[a-z0-9]{32}$")), name="phone_folder_form"
            ),
        ),
        migrations.AddConstraint(
            model_name="phoneaccount",
            constraint=models.UniqueConstraint(fields=("phone", "place"), name="phone_account_place_unique"),
        ),
    ]
