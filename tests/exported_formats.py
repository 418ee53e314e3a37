"""What the schemas of other projects' formats require, restated: fields, types and closed choices.

BoAmps: `model/report_schema.json` of https://github.com/Boavizta/BoAmps. Every Eval Ever: version 0.3.0 of
`eval.schema.json` and `instance_level_eval.schema.json`. The package every-eval-ever 0.3.0 ships the latter two, but
asks for Python 3.12 and an older huggingface-hub than this suite does; where it is installed, tests read them there.
"""

from __future__ import annotations

from typing import Any

TEXT = {"type": "string"}
NUMBER = {"type": "number"}
COUNT = {"type": "integer", "minimum": 0}
TEXTS = {"type": "array", "items": TEXT}
DETAILS = {"type": "object", "additionalProperties": TEXT}  # every value a text


def table(required: str, optional: str = "", *, closed: bool = False, **types: Any) -> dict[str, Any]:
    """The schema of an object; fields without a type are texts."""
    names = {name: types.pop(name, TEXT) for name in (*required.split(), *optional.split())}
    assert not types, types
    return {
        "type": "object",
        "required": required.split(),
        "properties": names,
        "additionalProperties": not closed,
    }


def many(item: Any) -> dict[str, Any]:
    """The schema of a list with at least one element."""
    return {"type": "array", "minItems": 1, "items": item}


BOAMPS = table(
    "task measures infrastructure",
    "header system software environment quality",
    closed=True,
    header=table(
        "reportDatetime",
        "licensing formatVersion formatVersionSpecificationUri reportId reportStatus publisher",
        closed=True,
        reportStatus={"enum": ["draft", "final", "corrective", "other"]},
        publisher=table(
            "confidentialityLevel",
            "name division projectName publicKey",
            closed=True,
            confidentialityLevel={"enum": ["public", "internal", "confidential", "secret"]},
        ),
    ),
    task=table(
        "taskStage taskFamily algorithms dataset",
        "nbRequest measuredAccuracy estimatedAccuracy taskDescription",
        closed=True,
        nbRequest=NUMBER,
        algorithms=many(
            table(
                "",
                "algorithmType algorithmName foundationModelName foundationModelUri parametersNumber framework "
                "frameworkVersion layersNumber quantization",
                closed=True,
                parametersNumber=NUMBER,
                layersNumber=NUMBER,
            )
        ),
        dataset=many(
            table(
                "dataUsage dataType",
                "dataQuantity",
                closed=True,
                dataUsage={"enum": ["input", "output"]},
                dataType={"enum": ["text", "token", "word", "other"]},
                dataQuantity=NUMBER,
            )
        ),
    ),
    measures=many(
        table(
            "measurementMethod powerConsumption",
            "version cpuTrackingMode gpuTrackingMode measurementDuration measurementDateTime",
            closed=True,
            powerConsumption=NUMBER,
            measurementDuration=NUMBER,
        )
    ),
    system=table("os"),
    software=table("language", "version", closed=True),
    infrastructure=table(
        "infraType components",
        closed=True,
        infraType={"enum": ["publicCloud", "privateCloud", "onPremise", "other"]},
        components=many(
            table(
                "componentType nbComponent",
                "componentName memorySize manufacturer family series",
                closed=True,
                nbComponent={"type": "integer"},
                memorySize={"type": "integer"},
            )
        ),
    ),
    environment=table("country"),
    quality={"enum": ["high", "medium", "low"]},
)

_DATA = {
    "oneOf": [
        table(
            "dataset_name source_type hf_repo",
            "hf_split samples_number additional_details",
            closed=True,
            source_type={"const": "hf_dataset"},
            samples_number=COUNT,
            additional_details=DETAILS,
        ),
        table(
            "dataset_name source_type",
            "additional_details",
            closed=True,
            source_type={"const": "other"},
            additional_details=DETAILS,
        ),
    ]
}
_METRIC = table(
    "lower_is_better",
    "metric_id metric_name metric_kind metric_unit score_type min_score max_score additional_details",
    lower_is_better={"type": "boolean"},
    score_type={"enum": ["binary", "continuous", "levels"]},
    min_score=NUMBER,
    max_score={"anyOf": [NUMBER, {"const": "Infinity"}]},
    additional_details=DETAILS,
) | {"dependentRequired": {"score_type": ["min_score", "max_score"]}}  # of `continuous`, the only type in use here
_RESULT = table(
    "evaluation_name source_data metric_config score_details",
    "evaluation_result_id evaluation_timestamp generation_config",
    source_data=_DATA,
    metric_config=_METRIC,
    score_details=table(
        "score",
        "details uncertainty",
        score=NUMBER,
        details=DETAILS,
        uncertainty=table(
            "",
            "standard_error confidence_interval num_samples",
            standard_error=table("value", "method", value=NUMBER),
            confidence_interval=table(
                "lower upper", "confidence_level method", lower=NUMBER, upper=NUMBER, confidence_level=NUMBER
            ),
            num_samples={"type": "integer"},
        ),
    ),
    generation_config=table(
        "",
        "generation_args additional_details",
        generation_args=table(
            "", "temperature max_tokens", closed=True, temperature=NUMBER, max_tokens={"type": "integer", "minimum": 1}
        ),
        additional_details=DETAILS,
    ),
)
EVERY_EVAL_EVER = table(
    "schema_version evaluation_id retrieved_timestamp source_metadata model_info eval_library evaluation_results",
    "evaluation_timestamp detailed_evaluation_results",
    closed=True,
    source_metadata=table(
        "source_type source_organization_name evaluator_relationship",
        "source_name",
        source_type={"enum": ["documentation", "evaluation_run"]},
        evaluator_relationship={"enum": ["first_party", "third_party", "collaborative", "other"]},
    ),
    model_info=table(
        "name id additional_details",
        "developer inference_engine",
        inference_engine=table("", "name version"),
        additional_details=DETAILS
        | table(
            "deployment_type model_availability",
            deployment_type={"enum": ["self_deployed", "externally_managed", "unknown"]},
            model_availability={"enum": ["open_weights", "closed_weights", "unknown"]},
        )
        | {"additionalProperties": TEXT},
    ),
    eval_library=table("name version", "additional_details", additional_details=DETAILS),
    evaluation_results={"type": "array", "items": _RESULT},
    detailed_evaluation_results=table(
        "format file_path",
        "hash_algorithm checksum total_rows",
        format={"enum": ["jsonl"]},
        hash_algorithm={"enum": ["sha256", "md5"]},
        total_rows={"type": "integer"},
    ),
)
EVERY_EVAL_EVER_ITEM = table(
    "schema_version evaluation_id model_id evaluation_name sample_id interaction_type input output "
    "answer_attribution evaluation",
    "evaluation_result_id sample_hash metadata",
    closed=True,
    interaction_type={"enum": ["single_turn"]},
    input=table("raw reference", "choices", reference=TEXTS, choices=TEXTS),
    output=table("raw", raw=TEXTS),
    answer_attribution={
        "type": "array",
        "items": table(
            "turn_idx source extracted_value extraction_method is_terminal",
            turn_idx=COUNT,
            is_terminal={"type": "boolean"},
        ),
    },
    evaluation=table("score is_correct", score=NUMBER, is_correct={"type": "boolean"}),
    metadata=DETAILS,
)
