"""A vendor of phones: its authorities, and what it puts into the phones that it makes."""

import re
import subprocess
from pathlib import Path


class Vendor:
    """A root, the authority under it that signs, and the phones of the factory."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.bundle = folder / "bundle.pem"
        self._openssl("req", "-x509", *self._key("root"), "-subj", f"/O={name}/CN={name} Root", "-out", "root.crt")
        (folder / "ca.ext").write_text("basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n", encoding="ascii")
        self._signed("issuing", f"/O={name}/CN={name} Issuing", "root", "-extfile", "ca.ext")
        self.bundle.write_text(
            "".join((folder / f"{one}.crt").read_text() for one in ("issuing", "root")), encoding="ascii"
        )

    def phone(self, subject: str, *options: str) -> tuple[str, ...]:
        """Put a certificate into a phone; return curl's options to show it. Options are those of ``openssl x509``."""
        name = re.sub(r"\W+", "_", f"{subject}{options}")
        if not (self.folder / f"{name}.crt").exists():
            self._signed(name, subject, "issuing", *options)
        return ("--cert", str(self.folder / f"{name}.crt"), "--key", str(self.folder / f"{name}.key"))

    def expired(self) -> str:
        """Return the certificate of an authority that has expired."""
        (self.folder / "index").write_text("", encoding="ascii")
        (self.folder / "ca.cnf").write_text(
            "[ca]\ndefault_ca=old\n[old]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\npolicy=any\n"
            "[any]\norganizationName=optional\ncommonName=supplied\n",
            encoding="ascii",
        )
        self._openssl("req", "-new", *self._key("old"), "-subj", "/O=Old/CN=Old Root", "-out", "old.csr")
        signing = ("-config", "ca.cnf", "-batch", "-notext", "-selfsign", "-keyfile", "old.key", "-in", "old.csr")
        self._openssl("ca", *signing, "-startdate", "200101000000Z", "-enddate", "210101000000Z", "-out", "old.crt")
        return (self.folder / "old.crt").read_text(encoding="ascii")

    def _key(self, name: str) -> tuple[str, ...]:
        return ("-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key")

    def _signed(self, name: str, subject: str, by: str, *options: str) -> None:
        self._openssl("req", "-new", *self._key(name), "-subj", subject, "-out", f"{name}.csr")
        signer = ("-CA", f"{by}.crt", "-CAkey", f"{by}.key", "-CAcreateserial")
        self._openssl("x509", "-req", "-in", f"{name}.csr", *signer, *options, "-out", f"{name}.crt")

    def _openssl(self, *words: str) -> None:
        done = subprocess.run(["openssl", *words], cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
