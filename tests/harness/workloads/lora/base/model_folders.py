"""Make folders of tiny random language models with their tokenizer, as their users save them."""

import torch

WORDS = ["<end>", "a", "b", "c", "say", "give", "back", ":", "=", "#"]
SMALL = {"vocab_size": 16, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
         "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 64,
         "bos_token_id": 0, "eos_token_id": 0}  # fmt: skip


def write_tokenizer(folder, words=WORDS):
    from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: PLC0415
    from transformers import PreTrainedTokenizerFast  # noqa: PLC0415

    made = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="#"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=made, eos_token=words[0], unk_token="#")
    fast.save_pretrained(folder)


def write_model(folder, config):
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    write_tokenizer(folder)
    return folder
