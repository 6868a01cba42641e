"""All pages of the dashboard. None is part of the API that `/openapi.json` describes."""

from fastapi import APIRouter, Depends

from service.dashboard import ask, door, facts, jobs, overview, settings, versions
from service.dashboard.paths import ROOT
from service.dashboard.visit import check_form

router = APIRouter(include_in_schema=False, dependencies=[Depends(check_form)])
for module in (overview, facts, jobs, versions, ask, settings, door):
    router.include_router(module.router, prefix=ROOT)
