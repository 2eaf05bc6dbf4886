"""S3: where models and checkpoints lie. The only user of boto3."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError

from .config import Config
from .errors import BadRequest, Gone, RejectedArtifact, Unavailable

CHUNK = 256 * 1024
MISSING = ("NoSuchKey", "404", "NotFound")
TOO_SHORT = ("InvalidRange", "416")
LINK_SECONDS = 900
PART_LINK_SECONDS = 3_600
PATIENCE_SECONDS = 300
"""S3 may take minutes to join the parts of a large upload."""

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

    def _client(self, endpoint: str, **config: Any) -> Any:
        return boto3.client(
            "s3", endpoint_url=endpoint or None, region_name=self._config.s3_region,
            aws_access_key_id=self._config.s3_access_key_id or None,
            aws_secret_access_key=self._config.s3_secret_access_key or None,
            config=_CLIENT.merge(ClientConfig(**config)),
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

    @cached_property
    def _patient(self) -> Any:
        return self._client(self._config.s3_endpoint_url, read_timeout=PATIENCE_SECONDS, retries={"max_attempts": 1})

    def upload_link(self, key: str) -> str:
        """A link by which its holder can PUT that one object for a quarter of an hour."""
        params = {"Bucket": self.bucket, "Key": key}
        return str(self.signer.generate_presigned_url("put_object", Params=params, ExpiresIn=LINK_SECONDS))

    def download_link(self, key: str) -> str:
        """A link by which its holder can GET that one object for a quarter of an hour."""
        params = {"Bucket": self.bucket, "Key": key}
        return str(self.signer.generate_presigned_url("get_object", Params=params, ExpiresIn=LINK_SECONDS))

    def read(self, key: str, size: int | None = None, part: range | None = None) -> Iterator[bytes]:
        """The object, or those bytes of it, in chunks of 256 KiB; the first one is fetched before this returns, so a
        failure shows at once.

        Raises Gone where it is not there, or has not `size` bytes.
        """
        asked = {"Range": f"bytes={part.start}-{part.stop - 1}"} if part else {}
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=key, **asked)
            found = int(answer["ContentRange"].rpartition("/")[2]) if part else answer["ContentLength"]
            if size not in (None, found):
                raise Gone(f"The file in storage is damaged: it has {found} of {size} bytes.")
            chunks: Iterator[bytes] = answer["Body"].iter_chunks(CHUNK)
            first = next(chunks, b"")
        except (BotoCoreError, ClientError, OSError) as error:
            if _reason(error) in MISSING:
                raise Gone(f"The file is not in storage any more ({_reason(error)}).") from error
            if _reason(error) in TOO_SHORT:
                raise Gone(f"The file in storage is damaged: it has less than {size} bytes.") from error
            raise Unavailable(f"The file can't be read from storage at the moment ({_reason(error)}).") from error
        return _prepend(first, chunks)

    def read_range(self, key: str, start: int, size: int) -> bytes:
        """So many bytes of the object from there on, at least one."""
        wanted = f"bytes={start}-{start + size - 1}"
        try:
            return bytes(self.s3.get_object(Bucket=self.bucket, Key=key, Range=wanted)["Body"].read())
        except (BotoCoreError, ClientError, OSError) as error:
            raise Unavailable(f"The file can't be read from storage at the moment ({_reason(error)}).") from error

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

    def begin_upload(self, key: str) -> str:
        """A multipart upload; its id."""
        with _answering():
            return str(self.s3.create_multipart_upload(Bucket=self.bucket, Key=key)["UploadId"])

    def part_link(self, key: str, upload_id: str, number: int, size: int) -> str:
        """A link by which its holder can PUT that part of the upload, of so many bytes, for an hour. The answer's ETag
        is its receipt."""
        params = {"Bucket": self.bucket, "Key": key, "UploadId": upload_id, "PartNumber": number, "ContentLength": size}
        return str(self.signer.generate_presigned_url("upload_part", Params=params, ExpiresIn=PART_LINK_SECONDS))

    def complete_upload(self, key: str, upload_id: str, parts: list[tuple[int, str]]) -> None:
        """Joins the parts, (number, ETag) each. One that is complete already stays so. Raises BadRequest."""
        joined = {"Parts": [{"PartNumber": number, "ETag": etag} for number, etag in parts]}
        with _answering():
            try:
                self._patient.complete_multipart_upload(
                    Bucket=self.bucket, Key=key, UploadId=upload_id, MultipartUpload=joined
                )
            except ClientError as error:
                code = _reason(error)
                if not (code == "NoSuchUpload" and self.size(key) is not None) and code in NOT_AS_SENT:
                    raise BadRequest(f"{NOT_AS_SENT[code]} Upload the build again.") from error
                if code != "NoSuchUpload":
                    raise

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Forgets the parts; an upload that is not there (any more) is none."""
        with _answering():
            try:
                self.s3.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload_id)
            except ClientError as error:
                if _reason(error) not in ("NoSuchUpload", "NoSuchKey", "404"):
                    raise

    def size(self, key: str) -> int | None:
        """In bytes; None where there is no such object."""
        with _answering():
            try:
                return int(self.s3.head_object(Bucket=self.bucket, Key=key)["ContentLength"])
            except ClientError as error:
                if _reason(error) in MISSING:
                    return None
                raise

    def body(self, key: str, start: int) -> "Body":
        """The object from that byte on."""
        with _answering():
            return Body(self.s3.get_object(Bucket=self.bucket, Key=key, Range=f"bytes={start}-")["Body"])

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
            if error.response.get("Error", {}).get("Code") in MISSING:
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


class Body:
    """An object that comes over one connection."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.close = stream.close

    def read(self, most: int) -> bytes:
        """The next bytes, none at the end. Raises OSError when the connection breaks."""
        try:
            return bytes(self._stream.read(most))
        except BotoCoreError as error:
            raise OSError(str(error)) from error


NOT_AS_SENT = {
    "NoSuchUpload": "This upload is not there any more.",
    "InvalidPart": "A part is missing in storage, or is not the one whose ETag was told.",
    "InvalidPartOrder": "The parts are not in the order of their numbers.",
    "EntityTooSmall": "A part other than the last is too small.",
    "MalformedXML": "The list of parts is not one that storage understands.",
}


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError, OSError) as error:
        raise Unavailable(f"Storage does not answer ({_reason(error)}).") from error


def _prepend(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _reason(error: Exception) -> str:
    """What S3 said, without addresses and request ids."""
    return str(error.response["Error"].get("Code")) if isinstance(error, ClientError) else type(error).__name__
