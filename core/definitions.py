"""Definitions that staff write as JSON: read as their forms, with a path in every error."""

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from core.errors import BadUserInput, camel

FormT = TypeVar("FormT", bound=BaseModel)


def read_definition(form: type[FormT], data: Any, invalid: type[BadUserInput]) -> FormT:
    """Read a definition as its form; raises `invalid` with the path of the first field that cannot be."""
    try:
        return form.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ("definition", *(camel(str(part)) for part in first["loc"]))
        raise invalid(path=path, detail=first["msg"].removeprefix("Value error, ")) from error
