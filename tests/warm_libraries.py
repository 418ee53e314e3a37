"""What a run of the suite imports from others, and what its page bundles: once for all forked runs."""

# ruff: noqa: F401
import functools

import altair
import jinja2
import lm_eval.evaluator
import lm_eval.models.huggingface
import optipfair
import pandas
import pyarrow.parquet
import scipy.stats
import torch
import transformers.models.auto.modeling_auto
import transformers.models.auto.tokenization_auto
import transformers.models.llama.modeling_llama
import vl_convert

# A second of work that always gives the same script.
vl_convert.javascript_bundle = functools.cache(vl_convert.javascript_bundle)
vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
