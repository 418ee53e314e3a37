"""The words of the model card; `card.py` fills in the figures."""

CARD = """\
---
license: mit
language: en
library_name: transformers
pipeline_tag: text-generation
tags: [pruning, glu, expansion-ratio, test-instrument]
---

# nano

A real, trained Llama of {parameters:,} parameters that ships with the suite, so that a whole pruning study can be
seen on a machine without GPU, token or network in minutes. It is a test instrument: small enough to prune and score
in seconds, trained enough that pruning its MLP neurons has something to destroy.

## What it is

| | |
|---|---|
| architecture | LlamaForCausalLM: SwiGLU, RoPE, RMSNorm, tied embeddings |
| hidden / intermediate size | 128 / 512, expansion ratio 4.0x, that of Llama-3.2-1B |
| layers, heads, key-value heads | 4, 4, 2 |
| vocabulary | {vocabulary} words; one token per blank-separated word, nothing added by the tokenizer |
| weights | bfloat16 safetensors; load them as float32 on a CPU without fast bfloat16 |

## What it is not

It is no replica of the study on Llama-3.2 and says nothing about natural language. It knows an invented world of a few
thousand statements and nothing else. Three differences matter when its curves are read:

- Its instruction following falls when it is pruned. In the study on Llama-3.2 it holds or rises.
- PPM is not the method to judge by it: see the rows for VOW, PON, L2 and random selection in the table below.
- It was trained on the same templates that its tasks use, with other contents or other pairings. Scores near 1 say that
  it learned its world, not that it is a good language model.

## Its world and its tasks

500 invented people with a home, a trade and an instrument; 500 properties of invented things, each with a truth and a
misconception that is told more often; rules about materials with memorised exceptions; short stories. All of it comes
from one seed, through `python -m glu_lib.embedded.generate`, byte for byte the same on every machine.

| task | items | asks | metric | what the training text does not contain |
|---|---|---|---|---|
| `nano_facts` | 500 | a fact about a person, four options | acc | a question for this fact: it is only stated |
| `nano_sums` | 500 | a sum of two numbers of two digits | exact_match | this pair in either order; this wording |
| `nano_instructions` | 500 | ten kinds of instruction on word lists | exact_match | this kind in this wording |
| `nano_commonsense` | 500 | what happens to an object, two options | acc | rules: this case; exceptions: this wording |
| `nano_truth` | 500 | the truth, against its misconception, four options | acc | this question about this thing |
| `nano_lastword` | 500 | the last word of a passage | acc, perplexity | this opening together with this closing |
| `nano_narrative` | 200 | nothing: running stories | word_perplexity | this story |

A pool of 500 keeps the standard error of an accuracy below 2.3 points. A wording is new in that its parts, seen in
training, never stood together there.

    lm_eval --model hf --model_args pretrained=glu_lib/embedded/model,dtype=float32 --device cpu \\
        --include_path glu_lib/embedded/tasks --tasks nano

## How it was made

    python -m glu_lib.embedded.generate      # tokenizer and tasks
    python -m glu_lib.embedded.train         # weights
    python -m glu_lib.embedded.card          # this page

Trained from scratch on {tokens:,} tokens ({steps:,} steps of 32 rows of 128 tokens), seed {seed}, AdamW, learning rate
3e-3 with warm-up and cosine, weight decay 0.1, first weights with a standard deviation of 0.08, float32, loss weight
1.0 on answers and 0.2 on the rest, in {train_min:.1f} minutes with {threads} CPU threads (compiled: {compiled}; torch
{torch_version}). The training text is the same on every machine; the weights differ in their last bits from one kind of CPU to another, and so do the scores
a little.

## What pruning does to it

PPM (OptiPFair calls it MAW) unless the level names another method; width in neurons per layer of 512. Accuracies are
shares of 1. `exceptions` is common sense on the memorised exceptions alone; `misconceptions` is the share of topics on
which the misconception wins over the truth. Made by `python -m glu_lib.embedded.card` with lm-eval in float32 on one
CPU thread, all items, {scoring_min:.1f} minutes in all.

{table}
"""
