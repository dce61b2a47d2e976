"""Field types that several models share."""

from typing import Annotated, Literal

from pydantic import Field, IPvAnyNetwork, StringConstraints

from centralino.contract.names import MAX_TENANT_ID

TenantId = Annotated[int, Field(ge=1, le=MAX_TENANT_ID)]
"""A tenant's number; it makes the prefix of all its names in Asterisk."""

ExtensionNumber = Annotated[str, StringConstraints(pattern=r"^[0-9]{2,8}$")]
"""Two to eight digits, leading zeros kept."""

PersonName = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r'^[^\x00-\x1f\x7f"\\;<>]+$')]
"""A display name: free text without control characters and without what ends a value in SIP or in Asterisk's files."""

GuestName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
"""An inventory host name (RFC 1123 label)."""

EndpointName = Annotated[str, StringConstraints(pattern=r"^t[1-9][0-9]{0,7}-[a-z0-9]{8,24}$")]
"""A PJSIP endpoint, ``t175-`` and random letters and digits; Asterisk's listings cut a name after 37 characters."""

SipSecret = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{20,64}$")]
"""A SIP password; letters and digits only, so that no file format needs escaping."""

Transport = Literal["tls", "udp"]
"""``tls`` is SIP over TLS with SRTP; ``udp`` is for phones that can do no better."""

Networks = Annotated[tuple[IPvAnyNetwork, ...], Field(max_length=32)]
"""Networks or single addresses, such as 192.0.2.0/24, 192.0.2.7 and 2001:db8::/32."""
