"""HTTP for training nodes: claim an attempt, renew its lease, ask for a place to upload to. And for people: which there
are, and, for operators, that one is none any more."""

from datetime import UTC, datetime
from uuid import UUID

from flask import Blueprint, current_app, jsonify
from flask.typing import ResponseReturnValue

from wire.jobs import JobSpec
from wire.names import NODE_API, VERSION, staging_key

from .. import builds, enrolment, held, jobs, nodes, pages, queries, recordings, resends
from ..dispatching import waiting
from ..errors import Conflict
from ..models import Job, Node
from ..options import time_limits
from ..parts import parts
from ..permissions import Action
from . import auth, listing, views
from .auth import Door, needs
from .described import tells
from .forms.nodes import CheckLinks, Claimed, Greeting, HandedIn, HeartbeatAnswer, LinkForm, NodeForm, RevokedNode
from .parameters import Paged, PageOfNodes
from .schemas import CheckBody, ClaimBody, NodeBody, SelfCheckBody, UploadBody, body

blueprint = Blueprint("nodes", __name__, url_prefix=NODE_API)
NOT_ITS = "The attempt is not the node's (any more)."
ORDERS: pages.Keys[Node] = {"name": lambda its: (its.name,)}


@blueprint.post("/hello")
@needs(Door.NODES)
@tells(Greeting, body=NodeBody)
def hello() -> ResponseReturnValue:
    """A node is there; it says so when it starts and every few seconds, and is told from where to take trainings."""
    node_id, its = auth.node_id(), body(NodeBody)
    has = its.inventory()
    node = nodes.seen(node_id, its.slots, has, its.life, its.drain)
    queues = [] if nodes.refuses(node) else waiting.queues_for(has)
    return jsonify(lease_seconds=parts(current_app).config.lease_seconds, queues=queues, drain=node.drain,
                   check=node.quarantine is not None)  # fmt: skip


@blueprint.post("/check")
@needs(Door.NODES)
@tells(CheckLinks)
def check() -> ResponseReturnValue:
    """For the owner of a machine: is the token good, are the clocks together, can S3 be reached?"""
    key, storage = staging_key("check", 1, str(auth.node_id())), parts(current_app).storage
    return jsonify(time=datetime.now(UTC).isoformat(), version=VERSION, put=storage.upload_link(key),
                   get=storage.download_link(key))  # fmt: skip


@blueprint.post("/self-check")
@needs(Door.NODES)
@tells(bool, body=SelfCheckBody)
def self_check() -> ResponseReturnValue:
    """What a node in quarantine has found when it checked itself."""
    node, its = auth.node_id(), body(SelfCheckBody)
    nodes.self_checked(node, its.passed, its.findings)
    return jsonify(True)


@blueprint.post("/claims")
@needs(Door.NODES)
@tells(Claimed, body=ClaimBody, refuses={404: "", 409: "The attempt is not to be had: the task is to be dropped."})
def claim() -> ResponseReturnValue:
    """ "Is this attempt mine?" Yes: what to train. 409: no, drop the message."""
    node, wanted = auth.node_id(), body(ClaimBody)
    its = parts(current_app)
    job, told = jobs.claim(node, wanted.run_id, wanted.attempt, wanted.claim, its.config.lease_seconds)
    its.publisher.publish([told] if told else [])
    return jsonify(spec=_spec(job, node).to_wire(), lease_seconds=its.config.lease_seconds)


@blueprint.post("/attempts/<uuid:run_id>/<int:attempt>/heartbeat")
@needs(Door.NODES)
@tells(HeartbeatAnswer)
def heartbeat(run_id: UUID, attempt: int) -> ResponseReturnValue:
    """Keeps the attempt's lease; the answer says whether to go on."""
    answer = jobs.renew(auth.node_id(), run_id, attempt, parts(current_app).config.lease_seconds)
    return jsonify(answer=answer)


@blueprint.post("/attempts/<uuid:run_id>/<int:attempt>/uploads")
@needs(Door.NODES)
@tells(LinkForm, body=UploadBody, refuses={409: NOT_ITS})
def upload(run_id: UUID, attempt: int) -> ResponseReturnValue:
    """A link by which one file of the attempt can be PUT into staging."""
    node, wanted = auth.node_id(), body(UploadBody)
    if not resends.may_upload(node, run_id, attempt):
        raise Conflict(f"Attempt {attempt} of run {run_id} is not yours (any more).")
    return jsonify(url=parts(current_app).storage.upload_link(staging_key(run_id, attempt, wanted.name)))


@blueprint.post("/attempts/<uuid:run_id>/<int:attempt>/handed-in")
@needs(Door.NODES)
@tells(HandedIn, refuses={409: NOT_ITS})
def handed_in(run_id: UUID, attempt: int) -> ResponseReturnValue:
    """ "Do you still need the files of this attempt?" """
    answer = resends.answer(auth.node_id(), run_id, attempt)
    return jsonify(answer=answer.word, names=answer.names)


@blueprint.post("/attempts/<uuid:run_id>/<int:attempt>/again")
@needs(Door.NODES)
@tells(bool, refuses={409: "The attempt is not the node's, or no file of it is missing."})
def again(run_id: UUID, attempt: int) -> ResponseReturnValue:
    """Files of the attempt have been uploaded again."""
    resends.again(auth.node_id(), run_id, attempt)
    return jsonify(True)


@blueprint.post("/builds/<uuid:build_id>/link")
@needs(Door.NODES)
@tells(LinkForm, refuses={409: "The node holds no attempt of a job in that build."})
def build_link(build_id: UUID) -> ResponseReturnValue:
    """A fresh link to a build that the node is fetching: the one of its claim does not last."""
    build = held.build(auth.node_id(), build_id)
    return jsonify(url=parts(current_app).storage.download_link(build.key))


@blueprint.post("/builds/<uuid:build_id>/check")
@needs(Door.NODES)
@tells(bool, body=CheckBody)
def build_check(build_id: UUID) -> ResponseReturnValue:
    """What the node found when it first ran a build."""
    node, said = auth.node_id(), body(CheckBody)
    held.require_known_build(node, build_id)
    builds.checked(node, build_id, said.error, said.seconds, said.found)
    return jsonify(True)


@blueprint.get("")
@needs(Action.SEE_NODES)
@tells(list[NodeForm], query=PageOfNodes, sends=Paged)
def index() -> ResponseReturnValue:
    """The nodes there are, or those with a `label`."""
    label = listing.wanted_text("label")
    found = [row for row in queries.nodes() if label is None or label in row.has.get("labels", ())]
    is_operator = auth.user().is_operator
    return listing.of_rows(found, ORDERS, "name", lambda row: views.node(row, with_causes=is_operator))


@blueprint.post("/<node>/revoke")
@needs(Action.MANAGE_INSTALLATION)
@tells(RevokedNode)
def revoke(node: str) -> ResponseReturnValue:
    """The node is none any more: its token and its user at RabbitMQ end, and its trainings go on at once elsewhere.

    503 says that RabbitMQ has not let go of its user: the same request tries that again.
    """
    its = parts(current_app)
    revoked = enrolment.revoke(its.config, its.publisher, node)
    return jsonify(views.node(revoked.node, with_causes=True) | {"left_to_do": revoked.left_to_do})


def _spec(job: Job, node: UUID) -> JobSpec:
    its = parts(current_app).storage
    build = queries.build_for(node, job.build_id) if job.build_id else None
    checkpoint = queries.newest_checkpoint(job.run_id, job.attempt)
    initialize = its.download_link(job.initialize_key) if job.initialize_key and not checkpoint else None
    return JobSpec(
        run_id=str(job.run_id), attempt=job.attempt, env_id=job.env_id, behaviour=job.behaviour,
        max_steps=job.steps_before + job.steps, num_of_areas=job.num_of_areas, seed=job.seed,
        agent_config=job.agent_config, agent_id=job.agent_id, steps=job.steps, job_type=job.job_type,
        trainer=job.trainer, env_version=job.env_version, num_envs=job.num_envs,
        checkpoint_interval=job.checkpoint_interval, hyperparameters=job.hyperparameters,
        checkpoint_url=its.download_link(checkpoint.key) if checkpoint else None,
        checkpoint_sha256=checkpoint.sha256 if checkpoint else None,
        start_step=queries.start_step(job, job.attempt),
        initialize_url=initialize, initialize_sha256=job.initialize_sha256 if initialize else None,
        build={**views.build_to_fetch(build.row, its.download_link(build.row.key))} if build else None,
        manifest=build.row.manifest if build else None, needs_check=build.needs_check if build else False,
        threads=queries.threads_of(job), memory_mb=job.requires.get("memory_mb"),
        time_limit=job.time_limit, time_left_s=time_limits.left(job, job.attempt),
        recording=recordings.room(job.run_id, job.recording, parts(current_app).config.recording_max_mb),
    )  # fmt: skip
