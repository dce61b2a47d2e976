"""Apply, on the panel's side: from the database to a publication that agents fetch."""

from collections.abc import Iterable

from django.db import transaction
from django.db.models import Max

from centralino.contract import snapshot
from centralino.contract.fields import Transport
from centralino.panel import config
from centralino.panel.models import Publication, Tenant
from centralino.panel.services import locks, notify
from centralino.panel.services.errors import ServiceError

KEPT = 50
"""So many publications of a PBX are kept, the newest."""

_TRANSPORTS: dict[str, Transport] = {"tls": "tls", "udp": "udp"}


def build(pbx: str) -> snapshot.Snapshot:
    """Return what the database says a PBX must know, in an order that depends on nothing but the content."""
    tenants = Tenant.objects.filter(pbx=pbx).order_by("id").prefetch_related("extensions__devices")
    return snapshot.Snapshot(pbx=pbx, tenants=tuple(_tenant(tenant) for tenant in tenants))


def _tenant(tenant: Tenant) -> snapshot.Tenant:
    return snapshot.Tenant(
        id=tenant.id,
        name=tenant.name,
        extensions=tuple(
            snapshot.Extension(
                number=extension.number,
                name=extension.name,
                devices=tuple(
                    snapshot.Device(endpoint=d.endpoint, secret=d.secret, transport=_TRANSPORTS[d.transport])
                    for d in sorted(extension.devices.all(), key=lambda d: d.name)
                ),
            )
            for extension in sorted(tenant.extensions.all(), key=lambda e: e.number)
        ),
    )


def publish(pbx: str, *, by: str) -> tuple[Publication, bool]:
    """Publish a PBX's configuration if it differs from what is published; return that in force and whether it is new.

    What the PBX did not bring to life is published again as it is: whoever applies it once more wants another try.
    ``by`` is who asked. Agents that wait are woken at the commit.

    Raises:
        ServiceError: there is no such PBX.

    """
    _check(pbx)
    with transaction.atomic():
        # An import holds the same lock: a snapshot never sees half of one.
        locks.take(locks.Lock.CONFIGURATION)
        wanted = build(pbx)
        current = latest(pbx)
        if current is not None and current.etag == wanted.etag and not _failed(current):
            return current, False
        publication = Publication.objects.create(
            pbx=pbx, etag=wanted.etag, document=wanted.document().decode(), by=by[:80]
        )
        kept = Publication.objects.filter(pbx=pbx).order_by("-id").values("id")[:KEPT]
        Publication.objects.filter(pbx=pbx).exclude(id__in=kept).delete()
        notify.send(notify.Channel.PUBLICATION, pbx)
    return publication, True


def _check(pbx: str) -> None:
    if pbx not in config.site().pbxs:
        known = ", ".join(config.site().pbxs) or "none yet"
        raise ServiceError(f"this cluster has no PBX {pbx!r}: name one of its PBX ({known})")


def _failed(publication: Publication) -> bool:
    told = publication.results.order_by("-id").first()
    return told is not None and told.outcome != "live"


def publish_each(pbxs: Iterable[str], *, by: str) -> dict[str, tuple[Publication, bool]]:
    """Publish the configuration of these PBX, of all where none is named; by PBX, what :func:`publish` returns.

    Raises:
        ServiceError: there is no such PBX, or none at all; then nothing is published.

    """
    wanted = tuple(dict.fromkeys(pbxs)) or config.site().pbxs
    if not wanted:
        raise ServiceError("this cluster has no PBX yet: add one to the inventory's group pbx and run the role panel")
    for pbx in wanted:
        _check(pbx)
    return {pbx: publish(pbx, by=by) for pbx in wanted}


def latest(pbx: str) -> Publication | None:
    """Return the publication in force of a PBX, or None before the first."""
    return Publication.objects.filter(pbx=pbx).order_by("-id").first()


def latest_of_all() -> dict[str, Publication]:
    """Return the publication in force of every PBX that has one, without the documents."""
    newest = Publication.objects.order_by().values("pbx").annotate(newest=Max("id")).values("newest")
    return {p.pbx: p for p in Publication.objects.filter(id__in=newest).defer("document")}


def tag(publication: Publication) -> str:
    """Return the entity tag under which agents know the publication in force of a PBX.

    Its snapshot's alone would not do where an earlier publication has the same: the agent that has handled that one
    would do nothing, and so tell nothing of this one. Only a publication takes earlier ones away, so a tag stays.
    """
    earlier = Publication.objects.filter(pbx=publication.pbx, etag=publication.etag, id__lt=publication.id)
    return snapshot.publication_tag(publication.etag, publication.id if earlier.exists() else None)


def wait_for_other(pbx: str, tags: set[str], seconds: float) -> Publication | None:
    """Return the publication in force, once its tag is none of ``tags``; wait so many seconds for it.

    Returns the one in force after that time too, and None while there is none.
    """
    current = latest(pbx)
    if seconds <= 0 or (current is not None and tag(current) not in tags):
        return current
    with notify.listening(notify.Channel.PUBLICATION) as wait:
        # Between the first look and the listening something may have been published.
        current = latest(pbx)
        if (current is None or tag(current) in tags) and wait(pbx, seconds):
            current = latest(pbx)
    return current
