"""`python -m odeon_testkit.images`: make all images; with `-o FILE`, write an archive of them.

The archive is an image layout, which `ctr images import`, `skopeo copy oci-archive:…` and
`podman load` read.
"""

import argparse
from pathlib import Path

from odeon_testkit.images.build import Builder
from odeon_testkit.images.cache import store
from odeon_testkit.images.others import images_for_tests

_KEPT_S = 14 * 24 * 3600


def main() -> None:
    """Make images and print their names and digests."""
    parser = argparse.ArgumentParser(prog="python -m odeon_testkit.images", description=__doc__)
    parser.add_argument("services", nargs="*", help="all, unless some are named")
    parser.add_argument("-o", "--output", type=Path, help="write an archive of these images")
    parser.add_argument("--repository", default=Builder.repository)
    parser.add_argument("--tag", default=Builder.tag)
    parser.add_argument(
        "--for-tests", action="store_true", help="all, and those of NATS and PostgreSQL"
    )
    asked = parser.parse_args()
    builder = Builder(store(), asked.repository, asked.tag)
    images = [builder.image(name) for name in asked.services or builder.services]
    if asked.for_tests:
        images = images_for_tests(builder)
    builder.store.forget(unused_s=_KEPT_S)
    for image in images:
        print(f"{image.name}@sha256:{image.manifest.digest}")
    if asked.output:
        with asked.output.open("wb") as out:
            builder.store.write_archive(images, out)


main()
