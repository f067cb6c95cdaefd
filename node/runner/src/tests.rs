mod ring;
mod sandbox;
