"""Recommenders whose users may ask to be forgotten: factor models and LightGCN."""
