"""Readers of files from strangers: pickles that are never executed, arrays without objects, meshes."""
