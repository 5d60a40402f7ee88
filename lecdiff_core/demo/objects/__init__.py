"""What stands on the plan: blocks, houses, halls, car parks, pitches, trees and cars, as shapes in ground metres.

Each cell of a town is furnished on its own from its own seed, so that any window of any town can be drawn without the rest.
"""
