"""One module per figure: `drawings(run)` prepares the numbers, `draw(ax, …)` puts them on axes."""
