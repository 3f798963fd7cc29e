"""Import Taskonomy (Zamir et al., CVPR 2018) from a folder in its published layout.

Its licence allows research and education and forbids passing the images on: nothing of it is
here, and a store made from it must not be published either.
"""
