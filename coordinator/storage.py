"""S3: where models and checkpoints lie. The only user of boto3."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError

from .config import Config
from .errors import RejectedArtifact, Unavailable

CHUNK = 256 * 1024
LINK_SECONDS = 900

_CLIENT = ClientConfig(
    signature_version="s3v4",
    s3={"addressing_style": "path"},  # S3 servers other than Amazon's seldom answer to bucket.host
    connect_timeout=5,
    read_timeout=20,
    retries={"max_attempts": 3, "mode": "standard"},
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


class Storage:
    """One bucket. Every method raises Unavailable when S3 does not answer."""

    def __init__(self, config: Config) -> None:
        self.bucket = config.s3_bucket
        self._config = config
        self._s3: Any = None
        self._signer: Any = None

    def _client(self, endpoint: str) -> Any:
        return boto3.client(
            "s3", endpoint_url=endpoint or None, region_name=self._config.s3_region,
            aws_access_key_id=self._config.s3_access_key_id or None,
            aws_secret_access_key=self._config.s3_secret_access_key or None, config=_CLIENT,
        )  # fmt: skip

    @property
    def s3(self) -> Any:
        """Made at first use: loading boto3's service model takes a while, and some processes never need it."""
        if self._s3 is None:
            self._s3 = self._client(self._config.s3_endpoint_url)
        return self._s3

    @property
    def signer(self) -> Any:
        """Signs links with the address that nodes know S3 by."""
        if self._signer is None:
            self._signer = self._client(self._config.s3_public_endpoint_url or self._config.s3_endpoint_url)
        return self._signer

    def upload_link(self, key: str) -> str:
        """A link by which its holder can PUT that one object for a quarter of an hour."""
        params = {"Bucket": self.bucket, "Key": key}
        return str(self.signer.generate_presigned_url("put_object", Params=params, ExpiresIn=LINK_SECONDS))

    def download_link(self, key: str) -> str:
        """A link by which its holder can GET that one object for a quarter of an hour."""
        params = {"Bucket": self.bucket, "Key": key}
        return str(self.signer.generate_presigned_url("get_object", Params=params, ExpiresIn=LINK_SECONDS))

    def read(self, key: str) -> Iterator[bytes]:
        """The object in chunks of 256 KiB; the first one is fetched before this returns, so a failure shows at once."""
        try:
            chunks: Iterator[bytes] = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].iter_chunks(CHUNK)
            first = next(chunks, b"")
        except (BotoCoreError, ClientError, OSError) as error:
            raise Unavailable(f"The file can't be read from storage at the moment ({_reason(error)}).") from error
        return _prepend(first, chunks)

    def keep(self, staged: str, final: str, size: int, sha256: str) -> None:
        """Copies an upload to its final key and verifies the copy, which no link can overwrite any more.

        Raises RejectedArtifact when the upload is missing or its size or SHA-256 is not as the node said.
        """
        try:
            self._copy(staged, final, size)
            self._verify(final, size, sha256)
        except RejectedArtifact:
            self.delete(final)
            raise
        except (BotoCoreError, ClientError, OSError) as error:
            raise Unavailable(f"Storage does not answer ({_reason(error)}).") from error

    def delete(self, key: str) -> None:
        """Deletes the object; one that is not there is none."""
        try:
            self.s3.delete_object(Bucket=self.bucket, Key=key)
        except (BotoCoreError, ClientError, OSError) as error:
            raise Unavailable(f"Storage does not answer ({_reason(error)}).") from error

    def keys(self, prefix: str, older_than: timedelta) -> Iterator[str]:
        """The keys that begin so, of objects that were written longer ago than that."""
        before = datetime.now(UTC) - older_than
        try:
            for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                yield from (its["Key"] for its in page.get("Contents", []) if its["LastModified"] < before)
        except (BotoCoreError, ClientError, OSError) as error:
            raise Unavailable(f"Storage does not answer ({_reason(error)}).") from error

    def ensure_bucket(self) -> None:
        """Creates the bucket where it is missing."""
        try:
            self.s3.head_bucket(Bucket=self.bucket)
        except ClientError:
            self.s3.create_bucket(Bucket=self.bucket)

    def _copy(self, staged: str, final: str, size: int) -> None:
        try:
            found = self.s3.head_object(Bucket=self.bucket, Key=staged)["ContentLength"]
            if found != size:
                raise RejectedArtifact(f"The upload has {found} bytes; the node said {size}.")
            # one request, up to 5 GB: boto3's own `copy` goes in parts from 8 MB on, which not every S3 server can
            self.s3.copy_object(CopySource={"Bucket": self.bucket, "Key": staged}, Bucket=self.bucket, Key=final)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404", "NotFound"):
                raise RejectedArtifact("The node's upload is not in storage.") from error
            raise

    def _verify(self, key: str, size: int, sha256: str) -> None:
        digest, found = hashlib.sha256(), 0
        for chunk in self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].iter_chunks(CHUNK):
            digest.update(chunk)
            found += len(chunk)
        if found != size:  # it was written again while it was copied
            raise RejectedArtifact(f"The upload has {found} bytes; the node said {size}.")
        if digest.hexdigest() != sha256:
            raise RejectedArtifact(f"The upload's SHA-256 is {digest.hexdigest()}; the node said {sha256}.")


def _prepend(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _reason(error: Exception) -> str:
    """What S3 said, without addresses and request ids."""
    return str(error.response["Error"].get("Code")) if isinstance(error, ClientError) else type(error).__name__
