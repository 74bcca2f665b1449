"""The cost of generated usages over every priced model of LiteLLM's table, ours beside LiteLLM's own calculator.

Prints one line of JSON; exits 0 when at most MOST_EXCEPTED models differ, each named in EXCEPTED with the reason.
"""

import datetime
import importlib.metadata
import json
import os
import random
import subprocess
import sys
from decimal import Decimal

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm  # noqa: E402

litellm.suppress_debug_info = True
from litellm._internal_context import pinned_billing_time  # noqa: E402
from litellm.cost_calculator import batch_cost_calculator, cost_per_token  # noqa: E402
from litellm.types.utils import (  # noqa: E402
    CacheCreationTokenDetails,
    CompletionTokensDetailsWrapper,
    PromptTokensDetailsWrapper,
    Usage,
)

USAGES = 10_000
SEED = 1
MOST_EXCEPTED = 3
# Model: the reason that its entry in LiteLLM's table gives.
EXCEPTED: dict[str, str] = {
    "deepseek-chat": "LiteLLM bills it by the entry `deepseek/deepseek-chat`, which states cache writes at 0.0",
    "gemini-exp-1206": "LiteLLM's calculator for this provider takes names with `-exp-` for free; the entry states a price",
    "perplexity/perplexity/sonar": "LiteLLM bills it by the entry `perplexity/sonar`, which states other rates",
}
# Off-peak discounts depend on the moment; we charge the list price. A Wednesday morning that no entry counts as off-peak.
PEAK = datetime.datetime(2026, 11, 18, 8, tzinfo=datetime.timezone.utc)
# LiteLLM's calculator for these providers does not look at the service tier.
WITHOUT_TIERS = {"fireworks_ai", "perplexity"}


def tokens(generator: random.Random, most: int) -> int:
    """Small numbers, large ones, and none, all of them often."""
    if most == 0:
        return 0
    return generator.choice([0, generator.randrange(1, 2_000), generator.randrange(1, most)])


def has_rate(entry: dict, key: str) -> bool:
    return "tiered_pricing" in entry or entry.get(key) is not None


def generate(generator: random.Random, model: str, entry: dict) -> dict:
    tiers = ["standard"]
    tiers += [tier for tier in ("priority", "flex") if f"input_cost_per_token_{tier}" in entry]
    if "input_cost_per_token_batches" in entry and "output_cost_per_token_batches" in entry:
        tiers.append("batch")
    if entry.get("litellm_provider") in WITHOUT_TIERS:
        tiers = ["standard"]
    # Tokens without a rate are an error with us and nothing with LiteLLM: an embedding has no output, so it is given none.
    puts_out, takes_in = has_rate(entry, "output_cost_per_token"), has_rate(entry, "input_cost_per_token")
    output = tokens(generator, 60_000) if puts_out else 0
    # A table of tiers is looked up by the input; a call without any is none, and LiteLLM bills its output at nothing.
    least = 1 if "tiered_pricing" in entry else 0
    return {
        "model": model,
        "tier": generator.choice(tiers),
        "usage": {
            "uncached_input": max(least, tokens(generator, 400_000 * takes_in)),
            "cache_read": tokens(generator, 400_000 * takes_in),
            "cache_write_5m": tokens(generator, 100_000 * takes_in),
            "cache_write_1h": tokens(generator, 100_000 * takes_in),
            "output": output,
            "reasoning": generator.randrange(0, output + 1) if generator.random() < 0.5 else 0,
        },
    }


def usage_of(ours: dict) -> Usage:
    written = ours["cache_write_5m"] + ours["cache_write_1h"]
    prompt = ours["uncached_input"] + ours["cache_read"] + written
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=ours["output"],
        total_tokens=prompt + ours["output"],
        prompt_tokens_details=PromptTokensDetailsWrapper(
            text_tokens=ours["uncached_input"],
            cached_tokens=ours["cache_read"],
            cache_creation_tokens=written,
            cache_creation_token_details=CacheCreationTokenDetails(
                ephemeral_5m_input_tokens=ours["cache_write_5m"],
                ephemeral_1h_input_tokens=ours["cache_write_1h"],
            ),
        ),
        completion_tokens_details=CompletionTokensDetailsWrapper(reasoning_tokens=ours["reasoning"]),
    )


def theirs(line: dict, entry: dict) -> Decimal:
    usage = usage_of(line["usage"])
    provider = entry.get("litellm_provider")
    if line["tier"] == "batch":
        prompt, completion = batch_cost_calculator(usage, line["model"], provider, model_info=entry)
    else:
        tier = None if line["tier"] == "standard" else line["tier"]
        prompt, completion = cost_per_token(
            model=line["model"], custom_llm_provider=provider, usage_object=usage, service_tier=tier
        )
    return Decimal(repr(prompt + completion)) * 10**9


def main() -> int:
    price, table = sys.argv[1:3]
    entries = json.load(open(table, encoding="utf-8"))
    priced = subprocess.run([price, table, "--models"], check=True, capture_output=True, text=True).stdout.split("\n")
    models = [model for model in priced if model]
    generator = random.Random(SEED)
    chosen = models + generator.choices(models, k=max(0, USAGES - len(models)))
    lines = [generate(generator, model, entries[model]) for model in chosen]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    ours = subprocess.run([price, table], input=text, check=True, capture_output=True, text=True).stdout.splitlines()
    differing: dict[str, str] = {}
    for line, our in zip(lines, ours, strict=True):
        try:
            with pinned_billing_time(PEAK):
                their = theirs(line, entries[line["model"]])
        except Exception as error:  # LiteLLM cannot price it
            differing.setdefault(line["model"], f"{our} against {type(error).__name__}: {str(error)[:150]}")
            continue
        if not our.isdigit() or abs(Decimal(our) - their) > 1:
            differing.setdefault(line["model"], f"{line['tier']}: {our} against {their:.3f}, {line['usage']}")
    unexpected = {model: how for model, how in differing.items() if model not in EXCEPTED}
    for model, how in unexpected.items():
        print(f"{model}: {how}", file=sys.stderr)
    figures = {"test": "price differential", "litellm": importlib.metadata.version("litellm"),
               "models": len(models), "usages": len(lines), "differing": len(differing), "excepted": EXCEPTED}
    print(json.dumps(figures))
    return 0 if not unexpected and len(EXCEPTED) <= MOST_EXCEPTED else 1


if __name__ == "__main__":
    sys.exit(main())
