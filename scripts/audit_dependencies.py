"""Fail if a pinned dependency has a known vulnerability: part of `make audit`, which installs pip-audit.

If the database cannot be reached, only warn, because that says nothing about the dependencies. pip-audit
itself exits with 1 in both cases.
"""

import sys
from pathlib import Path

from pip_audit._audit import Auditor
from pip_audit._dependency_source import RequirementSource
from pip_audit._service import OsvService, ServiceError
from requests import RequestException

requirements = RequirementSource([Path(name) for name in sys.argv[1:]], require_hashes=True, disable_pip=True)
audited = vulnerable = 0
try:
    for package, vulnerabilities in Auditor(OsvService(timeout=15)).audit(requirements):
        audited += 1
        vulnerable += bool(vulnerabilities)
        for found in vulnerabilities:
            fixed = ", ".join(map(str, found.fix_versions)) or "no version yet"
            print(f"{package.name} {package.version}: {found.id} (fixed in {fixed}): {found.description}")
except (RequestException, ServiceError) as error:
    print(f"WARNING: not audited, because the OSV database cannot be reached: {error.__cause__ or error}")
print(f"{audited} pinned dependencies audited, {vulnerable} with known vulnerabilities")
sys.exit(vulnerable > 0)
