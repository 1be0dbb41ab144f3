"""The tree of handling units: prefecture → counties → townships and bureaus, and enterprises (R15)."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base


class UnitKind(StrEnum):
    CENTRE = "centre"  # 12345中心
    BUREAU = "bureau"  # 地直部门
    COUNTY = "county"  # 县（市）分中心
    TOWNSHIP = "township"  # 乡镇（街道）
    ENTERPRISE = "enterprise"  # 公用企业


class Unit(Base):
    __tablename__ = "units"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("units.id"))
    region: Mapped[str] = mapped_column(String(6))  # six-digit division code
    active: Mapped[bool] = mapped_column(default=True)
