# The anti-rollback counter of a release in its image, where the platform and the device look for it: the descriptor's
# secure version. ESP-IDF fills that field only with eFuse anti-rollback on, which is a number of its own and stays what
# it is. 1.2.3 gives 1002003, as `./tds release build-manifest` reckons; `idf.py -DCOUNTER=7 build` says another.
# Included after project(), when all components are known.
if(NOT DEFINED COUNTER AND PROJECT_VER MATCHES "^([0-9][0-9]?[0-9]?[0-9]?)\\.([0-9][0-9]?[0-9]?)\\.([0-9][0-9]?[0-9]?)$")
    math(EXPR COUNTER "(${CMAKE_MATCH_1} * 1000 + ${CMAKE_MATCH_2}) * 1000 + ${CMAKE_MATCH_3}")
endif()
if(DEFINED COUNTER AND NOT CONFIG_BOOTLOADER_APP_ANTI_ROLLBACK)
    idf_component_get_property(app_format esp_app_format COMPONENT_LIB)
    target_compile_definitions(${app_format} PRIVATE CONFIG_BOOTLOADER_APP_SECURE_VERSION=${COUNTER})
endif()
