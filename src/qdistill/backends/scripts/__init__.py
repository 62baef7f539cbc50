"""Programs that `qdistill export` writes beside a bundle's arrays; they use nothing of this package."""
