"""Flask extensions, unbound: `create_app` binds them."""

from flask_migrate import Migrate
from flask_sock import Sock
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import BigInteger
from sqlalchemy.orm import DeclarativeBase, registry


class Base(DeclarativeBase):
    """Base of all tables. Every whole number has 64 bits: sizes and sequence numbers outgrow 32."""

    registry = registry(type_annotation_map={int: BigInteger})


db = SQLAlchemy(model_class=Base, disable_autonaming=True)
migrate = Migrate()
sock = Sock()
