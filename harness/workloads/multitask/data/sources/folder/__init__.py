"""Import any folder of images and labels that follows the layout in docs/data.md.

DIR/dataset.toml
DIR/<client>/<split>/rgb/NAME.png
DIR/<client>/<split>/<task letter>/NAME.png or NAME.npy
DIR/<client>/<split>/mask/NAME.png          optional: 0 where labels are invalid
"""
