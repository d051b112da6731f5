"""Names of what is read of a CIF."""

CELL = (
    "_cell_length_a",
    "_cell_length_b",
    "_cell_length_c",
    "_cell_angle_alpha",
    "_cell_angle_beta",
    "_cell_angle_gamma",
)
COORDS = ("_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z")

SYMMETRY = (
    "_symmetry_equiv_pos_as_xyz",
    "_symmetry_equiv_pos_as_xyz_",
    "_space_group_symop_operation_xyz",
    "_space_group_symop_operation_xyz_",
)
# What tells pymatgen that a CIF is magnetic, and that other operations do not count.
MAGNETIC = ("_space_group_magn", "_atom_site_moment", "_space_group_symop_magn")
OCCUPANCY = "_atom_site_occupancy"
MULTIPLICITIES = ("_atom_site_symmetry_multiplicity", "_atom_site_site_symmetry_multiplicity")
# How a site was found: measured, calculated, or no atom at all.
FLAG = "_atom_site_calc_flag"
GROUP_OF_SITES = "_atom_site_disorder_group"
VOLUME = "_cell_volume"
ASSEMBLY = "_atom_site_disorder_assembly"
NUMBERS = (*CELL, *COORDS, OCCUPANCY)
# Those of the sites; the first that is there counts.
SYMBOLS = ("_atom_site_type_symbol", "_atom_site_label")
# All that is read of sites.
SITES = (
    *SYMBOLS,
    *COORDS,
    OCCUPANCY,
    FLAG,
    GROUP_OF_SITES,
    *MULTIPLICITIES,
)
HALL = ("_symmetry_space_group_name_Hall", "_space_group_name_Hall")
NAMES = ("_symmetry_space_group_name_H-M", "_space_group_name_H-M_alt", "_space_group_name_H-M")
GROUPS = (*NAMES, "_space_group_IT_number", "_symmetry_Int_Tables_number")  # and numbers
