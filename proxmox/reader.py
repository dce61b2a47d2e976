"""From hosts with variables to the cluster that they want: validation, sizing, and what only shows across guests.

Finds all that is wrong before it gives up, and touches nothing.
"""

import base64
import difflib
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from pydantic import ValidationError

from proxmox import sizing
from proxmox.desired import Access, Cluster, Endpoint, Guest, Template, derived_mac
from proxmox.errors import ProvisionerError
from proxmox.inventory import GROUP, PLACEHOLDER, Host, shown
from proxmox.sizing import Size
from proxmox.variables import CLUSTER_WIDE, HOST_NAME, PREFIX, Variables

_KNOWN = tuple(f"{PREFIX}{name}" for name in Variables.model_fields)
_ABSENT = object()
_KEY_KINDS = ("ssh-", "ecdsa-", "sk-")


def read(hosts: Iterable[Host]) -> Cluster:
    """Return the cluster that the hosts want; raise :class:`ProvisionerError` with a sentence for all that is wrong."""
    problems: list[str] = []
    parsed: list[tuple[Host, Variables]] = []
    for host in hosts:
        found = [*host.problems, *_unknown(host)]
        variables, invalid = _validate(host)
        problems += found + invalid
        if variables is not None and not found:
            parsed.append((host, variables))
    if not problems:
        problems += _disagreements(parsed)
    guests: list[Guest] = []
    for host, variables in parsed:
        guest, found = _guest(host, variables)
        problems += found
        if guest is not None:
            guests.append(guest)
    if not problems:
        problems += _doubles(guests)
    if problems:
        raise ProvisionerError(*sorted(set(problems), key=_by_place))
    host, variables = parsed[0]
    return Cluster(
        name=_cluster_name(host),
        endpoint=_endpoint(host, variables),
        guests=tuple(guests),
        parallel_clones=variables.parallel_clones,
        journal=_path(host, variables.journal),
        fence_hook=_optional(host, variables.fence_hook),
        switch_hook=_optional(host, variables.switch_hook),
        backup_schedule=variables.backup_schedule,
        backup_retention=variables.backup_retention,
        takeover_hook=_optional(host, variables.takeover_hook),
    )


def _by_place(sentence: str) -> tuple[str, int, str]:
    """Order sentences as the files read: ``file:line: …``."""
    file, _, rest = sentence.partition(":")
    line = rest.partition(":")[0]
    return file, int(line) if line.isdigit() else 0, sentence


def _unknown(host: Host) -> list[str]:
    problems = []
    for name in host.variables:
        if name.startswith(PREFIX) and name not in _KNOWN:
            close = difflib.get_close_matches(name, _KNOWN, n=1)
            remedy = f"did you mean {close[0]}?" if close else "`python -m proxmox variables` lists them"
            problems.append(f"{host.place(name)}: {name} is not a variable of the provisioner; {remedy}")
    return problems


def _validate(host: Host) -> tuple[Variables | None, list[str]]:
    values = {name.removeprefix(PREFIX): value for name, value in host.variables.items() if name in _KNOWN}
    unreadable = {problem.split(": ", 2)[1].split(" ", 1)[0] for problem in host.problems}
    try:
        return Variables.model_validate(values), []
    except ValidationError as error:
        problems = {}
        for detail in sorted(error.errors(include_url=False), key=lambda detail: len(detail["loc"])):
            name = f"{PREFIX}{detail['loc'][0]}" if detail["loc"] else ""
            if name not in unreadable and PLACEHOLDER not in str(host.variables.get(name, "")):
                # Of several faults of one variable, the innermost says it best.
                problems[name] = _sentence(host, name, detail["type"], detail["msg"])
        return None, list(problems.values())


def _sentence(host: Host, name: str, kind: str, message: str) -> str:
    if kind == "missing":
        return (
            f"{host.place(name)}: {name} is not set for {host.name}: "
            f"{Variables.model_fields[name.removeprefix(PREFIX)].description}"
        )
    message = message.removeprefix("Value error, ").removeprefix("Input ").replace("should", "must")
    if not name:
        return f"{host.place(f'{PREFIX}api_fingerprint')}: {message}"
    value = "" if "secret" in name else f" is {host.variables[name]!r} and"
    return f"{host.place(name)}: {name}{value} {message}"


def _disagreements(parsed: list[tuple[Host, Variables]]) -> list[str]:
    """Return a sentence for each guest whose view of the cluster is not that of the others."""
    problems = []
    for field in CLUSTER_WIDE:
        name = f"{PREFIX}{field}"
        usual = Counter(getattr(variables, field) for _, variables in parsed).most_common(1)[0][0]
        problems += [
            f"{host.place(name)}: {name} of {host.name} is not that of the other guests: one inventory is one Proxmox "
            "cluster, set it in group_vars/all/proxmox.yml alone"
            for host, variables in parsed
            if getattr(variables, field) != usual
        ]
    return problems


def _guest(host: Host, variables: Variables) -> tuple[Guest | None, list[str]]:
    problems: list[str] = []
    address = None if variables.dhcp else _address(host, variables, problems)
    if variables.dhcp and host.variables.get("ansible_host"):
        problems.append(
            f"{host.place('ansible_host')}: {host.name} has ansible_host and proxmox_dhcp: keep one, an address of its "
            "own or the DHCP server's"
        )
    size = _size(host, variables, problems)
    _name(host, problems)
    _account(host, variables, problems)
    access = _access(host, variables, problems)
    if size is None or access is None or problems:
        return None, problems
    storage = variables.template_storage or variables.storage
    cluster = _cluster_name(host)
    return Guest(
        name=host.name,
        node=variables.node,
        vmid=variables.vmid,
        size=size,
        cpu=variables.cpu,
        address=address,
        prefix=variables.network_prefix,
        gateway=variables.gateway,
        nameservers=variables.nameservers,
        search_domain=variables.search_domain,
        storage=variables.storage,
        bridge=variables.bridge,
        vlan=variables.vlan,
        mac=variables.mac or derived_mac(cluster, host.name),
        mac_is_set=variables.mac is not None,
        groups=host.groups - {"all", GROUP},
        backup_storage=variables.backup_storage,
        tags=tuple(sorted({"centralino", *(group.lower() for group in host.groups - {"all", GROUP}), *variables.tags})),
        pool=variables.pool,
        access=access,
        template=Template(
            vmid=variables.template_vmid,
            name=variables.template_name,
            node=variables.template_node,
            storage=storage,
            image_url=variables.template_image_url,
            image_checksum=variables.template_image_checksum,
            image_storage=variables.image_storage,
            bridge=variables.bridge,
            cpu=variables.cpu,
            pool=variables.pool,
        ),
        task_timeout=variables.task_timeout,
        dhcp=variables.dhcp,
        standby=variables.standby,
        service_ca=_path(host, Path(str(host.variables.get("cluster_secrets", ".secrets"))) / "pki/ca.crt"),
        where={name: host.place(name) for name in (*_KNOWN, "ansible_host")},
    ), []


def _address(host: Host, variables: Variables, problems: list[str]) -> IPv4Address | None:
    place = host.place("ansible_host")
    given = host.variables.get("ansible_host", _ABSENT)
    if given is _ABSENT or given in (None, ""):
        problems.append(f"{place}: ansible_host of {host.name} is not set: give the guest its IPv4 address")
        return None
    network = IPv4Network(f"{variables.gateway}/{variables.network_prefix}", strict=False)
    try:
        address = IPv4Address(str(given))
    except ValueError:
        problems.append(f"{place}: ansible_host of {host.name} is {given!r}: give it an IPv4 address in {network}")
        return None
    if address not in network:
        problems.append(
            f"{place}: ansible_host of {host.name} is {address}, outside of {network} (proxmox_gateway with "
            "proxmox_network_prefix): correct the address or the network"
        )
    elif address in (network.network_address, network.broadcast_address, variables.gateway):
        problems.append(
            f"{place}: ansible_host of {host.name} is {address}, which is the network's own: give the guest a free "
            "address"
        )
    return address


def _size(host: Host, variables: Variables, problems: list[str]) -> Size | None:
    usual = sizing.default(host.groups)
    values: dict[str, int] = {}
    for field in ("cores", "memory", "disk"):
        value = getattr(variables, field)
        if value is None and usual is not None:
            value = getattr(usual, field)
        if value is None:
            name = f"{PREFIX}{field}"
            problems.append(
                f"{host.place(name)}: {name} of {host.name} is not set and none of its groups has a sizing "
                f"({', '.join(sizing.BY_GROUP)} have): set it"
            )
        else:
            values[field] = value
    return Size(**values) if len(values) == 3 else None  # noqa: PLR2004


def _name(host: Host, problems: list[str]) -> None:
    if not re.fullmatch(HOST_NAME, host.name):
        better = re.sub(r"[^A-Za-z0-9.]+", "-", host.name).strip("-.") or "pbx01"
        problems.append(
            f"{shown(host.folder)}: {host.name} cannot be the name of a machine on Proxmox: call it by letters, digits "
            f"and hyphens alone, as {better}, in hosts.yml and host_vars"
        )


def _account(host: Host, variables: Variables, problems: list[str]) -> None:
    user = host.variables.get("ansible_user")
    if user is not None and user != variables.ssh_user:
        problems.append(
            f"{host.place('ansible_user')}: ansible_user of {host.name} is {user!r} but cloud-init makes the "
            f"account {variables.ssh_user!r} (proxmox_ssh_user): use one for both"
        )


def _access(host: Host, variables: Variables, problems: list[str]) -> Access | None:
    private = _path(host, variables.ssh_private_key)
    named = variables.ssh_public_key
    place = host.place(f"{PREFIX}ssh_public_key" if named else f"{PREFIX}ssh_private_key")
    text: str | None
    if named and named.startswith(_KEY_KINDS):
        text = named.strip()
    else:
        usual = private.with_name(f"{private.name}.pub")
        file = _path(host, Path(named)) if named else usual
        text = _text(file, place, problems) if file.is_file() else None
        if text is None and not file.is_file() and (private.exists() or file != usual):
            remedy = f"make it with `ssh-keygen -y -f {shown(private)}`"
            problems.append(f"{place}: the public key {shown(file)} does not exist: {remedy}")
    if text is not None and not private.exists():
        problems.append(
            f"{place}: the public key is there but {shown(private)} is not: put the private key back, or remove the "
            "public one too so that a new pair is made"
        )
    if text is not None and not (text and all(_is_public_key(line) for line in text.splitlines())):
        problems.append(
            f"{place}: the SSH public key of {host.name} is none: it must read as `ssh-ed25519 AAAA… comment`"
        )
    try:
        port = int(str(host.variables.get("ansible_port", 22)))
        arguments = tuple(shlex.split(str(host.variables.get("ansible_ssh_common_args", ""))))
    except ValueError:
        problems.append(
            f"{host.place('ansible_port')}: ansible_port or ansible_ssh_common_args of {host.name} cannot be read"
        )
        return None
    return Access(
        user=variables.ssh_user,
        port=port,
        private_key=private,
        public_key=text,
        known_hosts=_path(host, variables.ssh_known_hosts),
        arguments=arguments,
        timeout=variables.ssh_timeout,
    )


def _text(file: Path, place: str, problems: list[str]) -> str | None:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{place}: {shown(file)} cannot be read as a public key ({error}): correct it, or its owner")
        return None


def _is_public_key(line: str) -> bool:
    """Tell whether a line is a public key: its material begins with its kind (RFC 4253, section 6.6)."""
    kind, _, rest = line.strip().partition(" ")
    try:
        material = base64.b64decode(rest.partition(" ")[0], validate=True)
    except ValueError:
        return False
    return (
        kind.startswith(_KEY_KINDS)
        and material[4:].startswith(kind.encode())
        and int.from_bytes(material[:4]) == len(kind)
    )


def _endpoint(host: Host, variables: Variables) -> Endpoint:
    ca = _optional(host, variables.api_ca)
    if ca is not None and not ca.is_file():
        raise ProvisionerError(
            f"{host.place(f'{PREFIX}api_ca')}: proxmox_api_ca names {shown(ca)}, which does not exist: copy "
            "/etc/pve/pve-root-ca.pem of a node there (for the lab's cluster: start the lab)"
        )
    return Endpoint(
        host=variables.api_host,
        port=variables.api_port,
        token_id=variables.api_token_id,
        token_secret=variables.api_token_secret.get_secret_value(),
        ca=ca,
        fingerprint=variables.api_fingerprint,
        where={f"{PREFIX}{field}": host.place(f"{PREFIX}{field}") for field in CLUSTER_WIDE},
    )


def _doubles(guests: list[Guest]) -> list[str]:
    """Return a sentence for each address, VMID and card address that two guests (or a guest and a template) have."""
    problems = []
    views: Mapping[str, tuple[str, Callable[[Guest], object]]] = {
        "ansible_host": ("address", lambda guest: guest.address),
        f"{PREFIX}vmid": ("VMID", lambda guest: guest.vmid),
        f"{PREFIX}mac": ("card address", lambda guest: guest.mac),
    }
    for variable, (kind, view) in views.items():
        by_value: defaultdict[object, list[Guest]] = defaultdict(list)
        for guest in guests:
            if view(guest) is not None:
                by_value[view(guest)].append(guest)
        for value, owners in by_value.items():
            if len(owners) > 1:
                names = " and ".join(guest.name for guest in owners)
                place = owners[-1].where.get(variable, "")
                problems.append(f"{place}: {variable}: {names} have the same {kind} {value}: give each its own")
    templates = {guest.template.vmid for guest in guests}
    problems += [
        f"{guest.where[f'{PREFIX}vmid']}: proxmox_vmid of {guest.name} is {guest.vmid}, the template's: give it another"
        for guest in guests
        if guest.vmid in templates
    ]
    return [*problems, *_double_templates(guests)]


def _double_templates(guests: list[Guest]) -> Iterator[str]:
    """Yield a sentence for each number that is that of two templates: on two nodes, of two names or of two images."""
    by_vmid: defaultdict[int, dict[tuple[str, str, str], Guest]] = defaultdict(dict)
    for guest in guests:
        one = guest.template
        by_vmid[one.vmid][one.node, one.name, one.source] = guest
    for vmid, versions in by_vmid.items():
        if len(versions) > 1:
            *_, last = versions.values()
            there = ", ".join(f"{name} on {node} from {source}" for node, name, source in sorted(versions))
            yield (
                f"{last.where[f'{PREFIX}template_vmid']}: proxmox_template_vmid {vmid} is that of {len(versions)} "
                f"templates ({there}): give each a number of its own (proxmox_template_vmid in the guests' host_vars, "
                "the same for all of a node), or one proxmox_template_node and one image to all guests"
            )


def _path(host: Host, path: Path) -> Path:
    """Return the path; one that is not absolute is below the inventory's folder."""
    try:
        return Path.resolve(host.folder / path.expanduser())
    except RuntimeError:
        raise ProvisionerError(
            f"{shown(host.folder)}: {path} of {host.name} begins with the home of an account that this machine does "
            "not have: write the path in full"
        ) from None


def _optional(host: Host, path: Path | None) -> Path | None:
    return None if path is None else _path(host, path)


def _cluster_name(host: Host) -> str:
    return str(host.variables.get("cluster_name") or host.folder.name)
